// Package schema says what an event of the postback gateway is: its JSON form
// (a CloudEvents 1.0 structured-mode object), the NATS subject it is published
// on, its deterministic id, and the form of a dead letter.
//
// It is the one package of the gateway that consumers import, and it uses the
// standard library only:
//
//	var event schema.Event
//	if err := json.Unmarshal(msg.Data(), &event); err != nil { ... }
//	if event.Data.Payload != nil && event.Data.Payload.Prefix == "plan" { ... }
//
// The same rules in words are in docs/subjects.md and docs/events.md; the JSON
// Schema is event.v1.schema.json, also held in [JSONSchema].
//
// Everything here is a pure function or a plain value and safe for concurrent
// use as such.
package schema
