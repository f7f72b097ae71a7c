// Package dedup has an index of the ids that a stream has stored, for a gateway that is the
// stream's only writer. It takes 36 bytes for an id, outside of the Go heap: the garbage
// collector neither reads nor counts it. The NATS server takes several hundred.
//
// An [Index] also knows up to which sequence it is complete, so that its owner can read
// from the stream what it lacks. [Files] keep it across restarts. Neither knows NATS.
package dedup
