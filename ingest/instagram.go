package ingest

import (
	"cmp"

	"github.com/postback-gateway/gateway/schema"
)

// instagramDialect is the messaging item of an Instagram professional account
// (Instagram Platform, "Webhook Notification Examples"; Instagram Messaging,
// "Quick Replies", "Ice Breakers", "Using ig.me Links").
var instagramDialect = dialect{
	platform: schema.Instagram,
	// The documents name the entry's id as that of the professional account.
	account: func(entryID, recipientID string) string { return cmp.Or(entryID, recipientID) },
}

// instagram takes an element of a professional account's delivery apart.
func (b *batch) instagram(e element) { b.messaging(e, &instagramDialect) }
