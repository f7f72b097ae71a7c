// Package monitor keeps a connection with the gateway's streams on it, and one snapshot of
// their state, of the disk and of the consumers. The snapshot feeds the retention, the
// metrics and readiness. receivers.go finds the consumers of one event.
package monitor
