// Package stream knows the gateway's streams.
//
// spec.go lists them with their names, subjects and settings; a new stream is one entry
// there. streams.go creates them, check.go rejects settings that make an acknowledgement
// worthless. sender.go sends entries in order, with retries, and collects the
// acknowledgements; codes.go says which errors a retry helps against. reader.go is the one
// reader of streams: from the beginning or a time, up to the end or following, or through
// a durable consumer (durable.go). get.go asks a stream's leader for one message.
package stream
