// Package natstest runs the real nats-server as a process of its own, for tests. The
// process can be killed and started again on the same store. The package also has a
// proxy that breaks connections, and helpers that wait for what a test expects.
package natstest
