package ingest

import (
	"cmp"

	"github.com/postback-gateway/gateway/schema"
)

// messengerDialect is the messaging item of a Facebook page (Messenger Platform,
// "Webhook Events Reference").
var messengerDialect = dialect{
	platform: schema.Messenger,
	// The entry around a sample of the Test button has the id 0.
	account: func(entryID, recipientID string) string { return cmp.Or(recipientID, entryID) },
}

// messenger takes an element of a page's delivery apart.
func (b *batch) messenger(e element) { b.messaging(e, &messengerDialect) }
