// Command gateway takes the button clicks (postbacks) of messaging platforms as
// webhooks, verifies and normalizes them, and stores each as an event on a NATS
// JetStream stream.
//
// It is the one package that sees all the others: the settings, the commands,
// the wiring, signals and the exit status are here. What an event is stands in
// package schema, how a delivery is read in ingest, how it is stored in publish.
//
// The exit status is 0 when the command did what it was asked, 1 when it failed
// while running, and 2 when the command line or the configuration is wrong.
package main
