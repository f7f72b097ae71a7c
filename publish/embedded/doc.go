// Package embedded runs a NATS server with JetStream on disk inside the process,
// so that the gateway works without any other program. Consumers connect to it
// over TCP like to any NATS server; the gateway itself uses a connection in memory.
package embedded
