// Package replay has a consumer receive stored events again: it resets the consumer, so
// nothing is published twice.
package replay
