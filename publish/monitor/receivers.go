package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Receiver is a consumer that asks for a subject, and how far it is.
type Receiver struct {
	ConsumerState
	Durable   bool   `json:"durable"`
	Delivered uint64 `json:"delivered"` // sequence of the last event that was delivered to it

	begins func(*stream.Message) bool // reports whether the consumer begins at the event or before
}

// Receivers returns the consumers that ask for a subject, sorted by name: of the stream
// that has such subjects, where consumers read. The gateway's own consumers are not among
// them, nor are those through which somebody only looks.
func (m *Monitor) Receivers(ctx context.Context, subject string) ([]Receiver, error) {
	ctx, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
	defer cancel()
	spec, err := m.specOf(subject)
	if err != nil {
		return nil, err
	}
	s, err := m.openStream(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", m.Streams.Name(spec), err)
	}
	all := []Receiver{}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		if !asksFor(info, subject) {
			continue
		}
		lag, err := s.consumer(ctx, info)
		if err != nil {
			return nil, fmt.Errorf("consumer %s: %w", info.Name, err)
		}
		all = append(all, Receiver{newConsumerState(info, lag), info.Config.Durable != "", info.Delivered.Stream, beginning(info)})
	}
	slices.SortFunc(all, func(a, b Receiver) int { return cmp.Compare(a.Name, b.Name) })
	return all, list.Err()
}

// specOf returns the stream that has messages with a subject.
func (m *Monitor) specOf(subject string) (*stream.Spec, error) {
	selected, err := m.Streams.Select(subject)
	if err != nil || !server.IsValidLiteralSubject(subject) || !slices.Equal(selected.Filters, []string{subject}) {
		return nil, fmt.Errorf("%q is not the subject of an event: expected %s.PLATFORM.ACCOUNT.PREFIX.ACTION", subject, m.Streams.Root)
	}
	return selected.Spec, nil
}

func asksFor(info *jetstream.ConsumerInfo, subject string) bool {
	isOwn := info.Config.Metadata[stream.InspectMetadata] != "" || slices.Contains([]string{stream.RelayConsumer, stream.FallbackConsumer}, info.Name)
	return !isOwn && Filters(filters(&info.Config)).Match(subject)
}

// beginning reports of an event whether a consumer was to receive it at all.
func beginning(info *jetstream.ConsumerInfo) func(*stream.Message) bool {
	c := &info.Config
	switch {
	case c.DeliverPolicy == jetstream.DeliverByStartSequencePolicy:
		return func(m *stream.Message) bool { return m.Sequence >= c.OptStartSeq }
	case c.DeliverPolicy == jetstream.DeliverByStartTimePolicy && c.OptStartTime != nil:
		return func(m *stream.Message) bool { return !m.Time.Before(*c.OptStartTime) }
	case c.DeliverPolicy == jetstream.DeliverAllPolicy:
		return func(*stream.Message) bool { return true }
	default: // new, or the last ones
		return func(m *stream.Message) bool { return !m.Time.Before(info.Created) || m.Sequence > info.AckFloor.Stream }
	}
}

// Position is where a consumer is with one event.
type Position string

// The positions.
const (
	Acknowledged Position = "acknowledged"
	InProgress   Position = "delivered" // and not acknowledged, or not known to be
	GaveUp       Position = "given_up"
	Waiting      Position = "waiting"
	BeforeStart  Position = "before_start" // the consumer was created for later events
)

// Position returns where the consumer is with an event.
func (r *Receiver) Position(m *stream.Message) Position {
	switch {
	case !r.begins(m):
		return BeforeStart
	case m.Sequence <= r.AckFloor:
		return Acknowledged
	case m.Sequence > r.Delivered:
		return Waiting
	case r.AckPending == 0:
		return GaveUp
	default:
		return InProgress
	}
}

const (
	// maxSearched is how many events of one subject are searched for an id.
	maxSearched = 1000
	// findTimeout bounds the search. A cluster can be slow to create its consumer.
	findTimeout = 10 * time.Second
)

// Find returns the event on a subject that was published with an id, and was stored at
// that time or later. It is nil if the event is not among the first ones since then, or
// is not where consumers read yet.
func (m *Monitor) Find(ctx context.Context, subject, id string, since time.Time) (*stream.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	spec, err := m.specOf(subject)
	if err != nil {
		return nil, err
	}
	link, err := m.Conn.Link()
	if err != nil {
		return nil, err
	}
	r, err := stream.Open(ctx, link, stream.ReaderConfig{
		Stream: m.Streams.Name(spec), Filters: []string{subject}, Since: since, HeadersOnly: true, Inspects: "console",
	})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for range maxSearched {
		found, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil || found.Header.Get(jetstream.MsgIDHeader) == id {
			return found, err
		}
	}
	return nil, nil
}
