// Package ingest receives the platforms' webhook requests on the public listener. It
// authenticates them, decodes every click in them to a [schema.Event] and gives these to
// a [Publisher].
//
// The steps of a delivery are in pipeline.go, and are the same for every platform:
//
//	Server.ServeHTTP     finds the webhook, counts the request, writes error responses
//	Server.deliver       the steps from the headers to the response
//	checkHeaders         size and media type
//	webhook.authenticate headers first; a signature over the raw bytes of the body later
//	Server.process       occupies a slot, decodes and publishes
//	webhook.decode       splits the body into items and adds each to the batch
//	batch.add            completes an item to an event; a malformed one is a dead letter
//	Server.publish       waits until the Publisher has stored every item, or answers 503
//	Server.respond       the log line, the span, the response
//
// What differs between webhooks is a row in the table in webhook.go. Meta's webhook
// serves several platforms: meta.go has their table, and envelope.go splits a delivery
// into items. Messenger and Instagram have the same items, which messaging.go decodes.
// WhatsApp is in whatsapp.go, Telegram in telegram.go; signature.go and token.go
// authenticate them.
//
// An error becomes a response in one place, problem.go. CONTRIBUTING.md says how to add a
// platform.
package ingest
