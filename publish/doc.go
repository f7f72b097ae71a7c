// Package publish stores what deliveries contain in a JetStream stream and returns the
// outcome of each event. It knows nothing of HTTP.
//
// [Open] connects to NATS, creates the streams that are missing and checks the others.
// [Publisher.Publish] turns each schema.Item into a message and returns when the stream
// has acknowledged all of them. The server is the operator's, or that of package embedded
// in the same process; the code is the same.
//
// An event is stored once although platforms deliver it several times: the server drops a
// message whose id it has seen within its duplicate window. On one machine the gateway
// remembers ids for longer: duplicates.go decides, storedids.go has those of one stream.
// Until the caller's deadline Publish retries what got no response (stream.Sender); a
// circuit breaker (breaker.go) fails deliveries at once while the store does not respond.
// With a group sync (groupsync.go) it also waits until the events are on disk.
//
// ready.go is readiness; recovery.go closes the circuit breaker when no delivery does.
// metrics.go has the metrics of publishing, monitor/metrics.go those of the store.
//
// Open only fails if the configuration is wrong. If no server can be reached, the
// background keeps trying. Meanwhile Publish fails at once and [Publisher.Ready] says why.
//
// The parts are packages of their own, each importing only those before it: dedup (an index of
// ids), natsconn (the connection), stream (streams, sending and reading), monitor (state of
// streams, consumers and disk), this one, and then relay, fallback and erase.
package publish
