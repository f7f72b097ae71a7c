package ingest

import (
	"context"

	"github.com/postback-gateway/gateway/schema"
)

// Publisher stores the items of a delivery. It is the only thing that this package needs
// from the store.
//
// Publish stores the items in their order. It returns when the store has confirmed every
// one of them, or when ctx ends. It returns one outcome for each item, in the same order,
// also with an error.
//
// A nil error promises that every item survives whatever the store's mode promises to
// survive, so the delivery can be answered 200. With an error, at least one outcome is
// schema.Failed. Publishing the same items again is safe, because the store recognizes
// them by their ids. The error is for the log: it can name servers and streams.
//
// It has to be safe for concurrent use.
type Publisher interface {
	Publish(ctx context.Context, items []schema.Item) ([]schema.Outcome, error)
}
