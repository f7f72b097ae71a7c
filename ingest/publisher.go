package ingest

import (
	"context"

	"github.com/postback-gateway/gateway/schema"
)

// Publisher stores what a delivery holds. It is all that the HTTP side needs of
// the store.
//
// Publish stores the items in their order and returns when the store has
// confirmed every one of them, or when ctx ends. It returns one outcome per
// item, in the same order; outcomes are valid with an error too. A nil error
// promises that every item will survive whatever the store's mode promises to
// survive, so that the delivery may be answered 200. With an error at least one
// outcome is schema.Failed; publishing the same items again is safe, because
// what is stored already is recognised by its id. The error is for the log: it
// can name servers and streams.
//
// It has to be safe for concurrent use.
type Publisher interface {
	Publish(ctx context.Context, items []schema.Item) ([]schema.Outcome, error)
}
