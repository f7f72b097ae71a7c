package ingest

import (
	"cmp"

	"github.com/postback-gateway/gateway/schema"
)

// messenger has the messaging items of Facebook pages (Messenger Platform, "Webhook
// Events Reference").
var messenger = metaPlatform{
	name:   schema.Messenger,
	decode: decodeMessaging,
	// The entry around a sample of the Test button has the id 0.
	account: func(entryID, recipientID string) string { return cmp.Or(recipientID, entryID) },
}
