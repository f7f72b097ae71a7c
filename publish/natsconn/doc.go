// Package natsconn keeps up one connection to NATS. It reads the credentials, dials,
// reconnects, and says what is wrong with the configuration. It knows no streams.
package natsconn
