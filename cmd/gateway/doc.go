// Command gateway receives the button clicks (postbacks) of messaging platforms as
// webhooks, verifies and normalizes them, and stores each as an event in a NATS
// JetStream stream.
//
// This package has one file per command, signals and the exit status. Its internal
// packages are settings (the environment variables), server (starts and stops the parts
// of the gateway), admin (metrics, health and profiles), reload (files that change),
// logging and tracing. Package schema defines events, ingest reads deliveries, publish
// stores events.
//
// The exit status is 0 when the command succeeded, 1 when it failed while running, and 2
// when the command line or the configuration is wrong.
package main
