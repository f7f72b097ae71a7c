package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Request says which consumer receives events again, and from which on. The first event
// that meets all conditions is the start.
type Request struct {
	Consumer string
	Filters  []string  // none: all events
	Since    time.Time // when they were stored; zero: all
	ID       string    // an event's id or Nats-Msg-Id; empty: any
	Sequence uint64    // of the event; 0: any
	GivenUp  bool      // what the consumer has given up

	Progress analytics.Progress // may be nil
}

// Plan is what a replay does. Nothing is published: the consumer is reset, so it receives
// everything that it asks for from the start on once more, also what it has acknowledged.
// Other consumers receive nothing.
type Plan struct {
	Consumer string    `json:"consumer"`
	Filters  []string  `json:"filters"`
	Sequence uint64    `json:"stream_seq"` // of the first event
	Stored   time.Time `json:"stored"`     // when it was stored
	Subject  string    `json:"subject"`
	Events   uint64    `json:"events"` // that the consumer receives
	// GivenUp are the events that it has given up and that are still stored.
	GivenUp []monitor.GivenUp `json:"given_up,omitempty"`

	stream     string
	advisories *advisories // of what it has given up; nil: it was not asked for
}

// advisories are messages about what a consumer has given up.
type advisories struct {
	stream  string
	filters []string
	last    uint64 // sequence
}

// ErrNothing says that no stored event meets the conditions.
var ErrNothing = errors.New("no stored event matches: nothing to replay")

// Prepare finds the first event, and how many there are from there on.
func Prepare(ctx context.Context, link *natsconn.Link, cfg stream.Settings, r Request) (*Plan, error) {
	p := &Plan{Consumer: r.Consumer, stream: cfg.Stream}
	if err := p.checkConsumer(ctx, link); err != nil {
		return nil, err
	}
	first, err := p.findFirst(ctx, link, cfg, r)
	if err != nil {
		return nil, err
	}
	if first == nil {
		return nil, ErrNothing
	}
	p.Sequence, p.Stored, p.Subject = first.Sequence, first.Time, first.Subject
	rest, err := stream.Open(ctx, link, stream.ReaderConfig{Stream: p.stream, Filters: p.Filters, Sequence: p.Sequence, HeadersOnly: true, Inspects: "replay"})
	if err != nil {
		return nil, err
	}
	defer rest.Close()
	p.Events = rest.Pending()
	return p, nil
}

func (p *Plan) findFirst(ctx context.Context, link *natsconn.Link, cfg stream.Settings, r Request) (*stream.Message, error) {
	switch {
	case r.GivenUp:
		return p.findGivenUp(ctx, link, cfg)
	case r.Sequence > 0:
		return stream.GetMessage(ctx, link.NC, p.stream, stream.Query{Seq: r.Sequence})
	default:
		return p.find(ctx, link, r)
	}
}

// checkConsumer finds out what the consumer asks for, and whether the server can reset it.
func (p *Plan) checkConsumer(ctx context.Context, link *natsconn.Link) error {
	if isOwn(p.Consumer) {
		return fmt.Errorf("consumer %s is the gateway's own: it is never replayed", p.Consumer)
	}
	c, err := link.JS.Consumer(ctx, p.stream, p.Consumer)
	if err != nil {
		return fmt.Errorf("consumer %s of stream %s: %w", p.Consumer, p.stream, err)
	}
	cfg := c.CachedInfo().Config
	if err := CanReset(p.Consumer, cfg.DeliverPolicy); err != nil {
		return err
	}
	if p.Filters = cfg.FilterSubjects; cfg.FilterSubject != "" {
		p.Filters = []string{cfg.FilterSubject}
	}
	return nil
}

// isOwn reports whether a consumer is the gateway's own.
func isOwn(name string) bool { return name == stream.RelayConsumer || name == stream.FallbackConsumer }

// CanReset returns why the server cannot reset a consumer; nil if it can. There is no other
// way to one consumer: what is published again reaches every consumer that asks for it.
func CanReset(name string, policy jetstream.DeliverPolicy) error {
	switch policy {
	case jetstream.DeliverAllPolicy, jetstream.DeliverByStartSequencePolicy, jetstream.DeliverByStartTimePolicy:
		return nil
	default:
		return fmt.Errorf("consumer %s was created with the deliver policy %s, and the server does not reset such a consumer: "+
			"delete it, and have its program create it with the policy by_start_time and the time of the first event that it has to receive", name, policy)
	}
}

// find returns the first event that meets the conditions and that the consumer asks for;
// nil if there is none.
func (p *Plan) find(ctx context.Context, link *natsconn.Link, r Request) (*stream.Message, error) {
	wanted, asked := stream.Selection{Filters: r.Filters}, stream.Selection{Filters: p.Filters}
	var first *stream.Message
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	scan := analytics.Scan{Stream: p.stream, Filters: r.Filters, Since: r.Since, HeadersOnly: true, FullSpeed: true, Progress: r.Progress}
	err := scan.Run(ctx, link, func(m *stream.Message) {
		if first == nil && wanted.Matches(m.Subject) && asked.Matches(m.Subject) && hasID(m, r.ID) {
			first = m
			stop(io.EOF)
		}
	})
	if first != nil {
		return first, nil
	}
	return nil, err
}

// hasID reports whether a message has the id. The Nats-Msg-Id ends with the event's id.
func hasID(m *stream.Message, id string) bool {
	if id == "" {
		return true
	}
	full := m.Header.Get(jetstream.MsgIDHeader)
	escaped := strings.NewReplacer("%", "%25", ":", "%3A").Replace(id)
	return full == id || strings.HasSuffix(full, ":"+escaped) || strings.HasSuffix(full, ":"+id)
}

// findGivenUp lists what the consumer has given up. It returns the first event of these.
func (p *Plan) findGivenUp(ctx context.Context, link *natsconn.Link, cfg stream.Settings) (*stream.Message, error) {
	var filters []string
	for _, subject := range cfg.Subjects(stream.GivenUp) {
		filters = append(filters, strings.TrimSuffix(subject, "*")+p.Consumer)
	}
	given := make(map[uint64]monitor.GivenUp)
	p.advisories = &advisories{stream: cfg.Name(stream.GivenUp), filters: filters}
	err := analytics.Scan{Stream: cfg.Name(stream.GivenUp), Filters: filters, FullSpeed: true}.Run(ctx, link, func(m *stream.Message) {
		p.advisories.last = m.Sequence
		if g, err := monitor.NewGivenUp(m); err == nil {
			given[g.Sequence] = g // the last time
		}
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Name(stream.GivenUp), err)
	}
	var first *stream.Message
	for sequence, g := range given {
		m, err := stream.GetMessage(ctx, link.NC, p.stream, stream.Query{Seq: sequence})
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue // its time is over
		}
		if p.GivenUp = append(p.GivenUp, g); first == nil || sequence < first.Sequence {
			first = m
		}
	}
	slices.SortFunc(p.GivenUp, func(a, b monitor.GivenUp) int { return int(a.Sequence) - int(b.Sequence) })
	return first, nil
}

// Run resets the consumer, and logs that. What it has given up is no longer listed then: if
// it fails again, the server says so again.
func (p *Plan) Run(ctx context.Context, link *natsconn.Link, log *slog.Logger) error {
	_, err := link.JS.ResetConsumerToSequence(ctx, p.stream, p.Consumer, p.Sequence)
	if err != nil {
		return fmt.Errorf("consumer %s cannot be reset to event %d: %w", p.Consumer, p.Sequence, err)
	}
	log.Info("events are replayed to a consumer", "consumer", p.Consumer, "stream_seq", p.Sequence, "events", p.Events, "given_up", len(p.GivenUp))
	if p.advisories == nil {
		return nil
	}
	if err := p.advisories.remove(ctx, link); err != nil {
		return fmt.Errorf("consumer %s was reset, but the list of what it has given up was not emptied: %w", p.Consumer, err)
	}
	return nil
}

func (a *advisories) remove(ctx context.Context, link *natsconn.Link) error {
	s, err := link.JS.Stream(ctx, a.stream)
	if err != nil {
		return err
	}
	for _, filter := range a.filters {
		if err := s.Purge(ctx, jetstream.WithPurgeSubject(filter), jetstream.WithPurgeSequence(a.last+1)); err != nil {
			return err
		}
	}
	return nil
}
