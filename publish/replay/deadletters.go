package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// Selection says which dead letters are replayed.
type Selection struct {
	Filters   []string  // subjects; none: all
	Since     time.Time // when they were stored; zero: all
	ID        string    // the Nats-Msg-Id, or the hash of the body at its end; empty: any
	Sequences []uint64  // in their stream; none: all
	// From is where to go on: Next of the batch before.
	From   uint64
	DryRun bool
}

// Result says what became of a dead letter, or would.
type Result string

// The results. Only a dead letter with one of the first three is removed.
const (
	Stored       Result = "stored"    // its events are stored
	Duplicate    Result = "duplicate" // they had been stored before
	Forwarded    Result = "forwarded" // it waits to be posted to the existing bot
	StillInvalid Result = "malformed" // an item of it is malformed, or too large, still
	NoEvent      Result = "no_event"  // there is no event in it
	Unusable     Result = "unusable"  // it cannot be replayed
)

// Letter is a dead letter that was replayed.
type Letter struct {
	Sequence uint64        `json:"stream_seq"`
	Stored   time.Time     `json:"stored"`
	Platform string        `json:"platform"`
	Reason   schema.Reason `json:"reason"`
	Result   Result        `json:"result"`
	Events   []Event       `json:"events,omitempty"` // MaxEvents at most
	Detail   string        `json:"detail,omitempty"` // why not; it can quote the item
}

// Event is what a dead letter becomes.
type Event struct {
	Subject string `json:"subject"`
	ID      string `json:"nats_msg_id"`
}

const (
	// MaxEvents bounds the events of a Letter.
	MaxEvents = 10
	// batchSize is how many dead letters one call replays at most.
	batchSize = 100
)

// Batch is a part of the dead letters that were selected.
type Batch struct {
	Letters []Letter `json:"letters"`
	Next    uint64   `json:"next,omitempty"` // where the next batch begins; 0: there is none
	Left    uint64   `json:"left"`           // an estimate of how many there are from Next on
}

// DeadLetters replays a batch of the dead letters that are selected, in their order. Their
// events get the ids that they would have had, so those that are stored are not stored
// again. An error ends it; Batch has what was done before.
func (g *Gateway) DeadLetters(ctx context.Context, s Selection) (*Batch, error) {
	link, err := g.Link()
	if err != nil {
		return nil, err
	}
	letters, err := link.JS.Stream(ctx, g.Streams.Name(stream.DeadLetters))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", g.Streams.Name(stream.DeadLetters), err)
	}
	events, err := link.JS.Stream(ctx, g.Streams.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", g.Streams.Stream, err)
	}
	limit, err := g.Limit()
	if err != nil {
		return nil, err
	}
	r := &replaying{Gateway: g, link: link, letters: letters, window: events.CachedInfo().Config.Duplicates, limit: limit, dryRun: s.DryRun, batch: Batch{Letters: []Letter{}}}
	if g.Streams.HasIndex(stream.Events) {
		r.window = g.Streams.DuplicateWindow
	}
	if len(s.Sequences) > 0 {
		return &r.batch, r.chosen(ctx, s.Sequences)
	}
	return &r.batch, r.next(ctx, &s)
}

// replaying is a batch in progress.
type replaying struct {
	*Gateway
	link    *natsconn.Link
	letters jetstream.Stream
	window  time.Duration // in which the gateway or the server knows an id
	limit   int
	dryRun  bool
	batch   Batch
}

func (r *replaying) name() string { return r.letters.CachedInfo().Config.Name }

func (r *replaying) chosen(ctx context.Context, sequences []uint64) error {
	if len(sequences) > batchSize {
		return fmt.Errorf("%d dead letters are too many: expected at most %d", len(sequences), batchSize)
	}
	for _, sequence := range sequences {
		m, err := stream.GetMessage(ctx, r.link.NC, r.name(), stream.Query{Seq: sequence})
		if err != nil {
			return err
		}
		if m == nil {
			continue // it was replayed, or is too old
		}
		if err := r.replay(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *replaying) next(ctx context.Context, s *Selection) error {
	cfg := stream.ReaderConfig{Stream: r.name(), Filters: s.Filters, Since: s.Since, Sequence: s.From, Inspects: "replay"}
	reader, err := stream.Open(ctx, r.link, cfg)
	if err != nil {
		return err
	}
	defer reader.Close()
	for n := range batchSize + 1 {
		m, err := reader.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n == batchSize:
			r.batch.Next, r.batch.Left = m.Sequence, reader.Pending()-min(reader.Pending(), batchSize)
			return nil
		}
		if !hasID(m, s.ID) {
			continue
		}
		if err := r.replay(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
