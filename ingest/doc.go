// Package ingest is the side of the gateway that faces the internet: it takes
// the platforms' webhook requests, verifies them, makes one [schema.Event] of
// every interaction in them and hands these to a [Publisher].
//
// The way of a delivery, top to bottom:
//
//	Server.ServeHTTP    the route table, the metrics
//	readBody            the size limit, one read
//	verifier.verify     the signature over the raw bytes, before anything is parsed
//	Server.begin        a delivery of a known sender: from here on it is logged and traced
//	readEnvelopes       one walk over the JSON that finds the elements
//	sources             a row per platform: an element becomes interactions
//	batch               an interaction becomes an event, or a dead letter
//	Publisher.Publish   stored, or 503
//	Server.conclude     the one line in the log, the end of the span, the answer
//
// Messenger and Instagram deliver the same messaging items: messaging.go reads
// them, and messenger.go and instagram.go hold what differs.
// Telegram sends one update at a time to a path for each bot, with a secret in the
// header: telegramBots.verify and batch.readTelegram stand in for the middle.
//
// The secrets of all this are one immutable value behind a pointer: SetSecrets puts
// another one in its place while requests come in.
//
// An error on this way becomes an answer in one place, [problem]. A new platform
// is a file with a decode function, a row in sources and a folder in testdata.
package ingest
