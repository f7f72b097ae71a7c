// Package ingest receives the platforms' webhook requests on the public listener. It
// authenticates them, decodes every click in them to a [schema.Event] and gives these to
// a [Publisher].
//
// The steps of a delivery are in pipeline.go, and are the same for every platform:
//
//	Server.ServeHTTP      finds the webhook, counts the request, writes error responses
//	Server.deliver        the steps from the headers to the response
//	Server.checkHeaders   checks size and media type
//	webhook.authenticate  checks the headers; its check later verifies the body's raw bytes
//	Server.readBody       reads the body within the limits
//	Server.process        occupies a slot, decodes and publishes
//	webhook.decode        splits the body into items and decodes each
//	batch.add             completes an event; a malformed one becomes a dead letter
//	Server.publish        waits until the Publisher has stored every item
//	Server.respond        writes the log line, ends the span, answers
//
// What differs between webhooks is a row in the table in webhook.go. Meta's webhook
// serves several platforms: meta.go has their table, and envelope.go splits a delivery
// into items. Messenger and Instagram have the same items, which messaging.go decodes.
// WhatsApp is in whatsapp.go, Telegram in telegram.go; signature.go and token.go
// authenticate them.
//
// What is not a click is an other item, in the files with other in their names. repeated.go
// decides between repeated members of an object; diagnose.go says why a signature failed.
//
// An error becomes a response in one place, problem.go. A new platform also needs an entry
// in schema/platform.go, a row in ingest/simulate and a page in docs/platforms:
// CONTRIBUTING.md has the list.
package ingest
