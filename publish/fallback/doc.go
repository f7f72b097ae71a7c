// Package fallback publishes events that no durable consumer asks for once more, to a
// stream of their own, so that one service can respond to what nobody else does. It runs
// where consumers read: on this machine, or with a relay in the cluster.
package fallback
