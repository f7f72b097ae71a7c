// Package erase removes the messages of one person from the gateway's streams, for
// gateway forget. match.go decides which messages are the person's; consumers.go waits
// until the relay and the fallback no longer hold them in memory.
package erase
