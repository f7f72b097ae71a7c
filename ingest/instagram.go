package ingest

import (
	"cmp"

	"github.com/postback-gateway/gateway/schema"
)

// instagram has the messaging items of Instagram professional accounts (Instagram
// Platform, "Webhook Notification Examples"; Instagram Messaging, "Quick Replies", "Ice
// Breakers", "Using ig.me Links").
var instagram = metaPlatform{
	name:   schema.Instagram,
	decode: decodeMessaging,
	// The documents say that the entry's id is the professional account's.
	account: func(entryID, recipientID string) string { return cmp.Or(entryID, recipientID) },
}
