// Package schema defines the events of the postback gateway: their JSON form (a
// CloudEvents 1.0 structured-mode object), the NATS subjects they are published on, their
// deterministic ids, and the form of dead letters.
//
// It is the only package of the gateway that consumers import, and it uses only the
// standard library:
//
//	var event schema.Event
//	if err := json.Unmarshal(msg.Data(), &event); err != nil { ... }
//	if event.Data.Payload != nil && event.Data.Payload.Prefix == "plan" { ... }
//
// [Router] dispatches events to handlers. The rules are described in docs/subjects.md
// and docs/events.md. The JSON Schema is event.v1.schema.json, and in [JSONSchema].
//
// The files: event.go, optin.go and other.go (events), payload.go, params*.go, name.go and
// token.go (the payload rule), subject.go (subjects and filters), id.go (ids), item.go
// (what a delivery consists of, on its way to the store) and deadletter.go (dead letters,
// which ingest creates for malformed items, and item.go for what is too large).
//
// All functions are pure, and everything except for registering handlers with a Router is
// safe for concurrent use.
package schema
