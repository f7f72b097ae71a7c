// Package publish stores what deliveries hold in a JetStream stream and says,
// event by event, what became of it. It knows nothing of HTTP.
//
// [Open] connects to NATS, creates the streams that are missing and checks the
// ones that are there. [Publisher.Publish] turns each schema.Item into a message
// and returns when the stream has acknowledged all of them. The server is either
// one of the operator's or the one of package embedded in the same process; the
// code is the same.
//
// Only faults of the configuration end Open: servers that cannot be reached are
// looked for in the background, and until they come Publish fails at once and
// [Publisher.Ready] says why.
package publish
