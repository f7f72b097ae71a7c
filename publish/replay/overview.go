package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Overview is what can be replayed. It has nothing of the messages' bodies.
type Overview struct {
	DeadLetters uint64
	ByReason    map[string]uint64
	Last        []Row // the last dead letters, the latest first
	GivenUp     map[string]uint64
	Consumers   []Consumer
}

// Row is a dead letter in a list.
type Row struct {
	Sequence uint64    `json:"seq"`
	At       time.Time `json:"at"`
	Platform string    `json:"platform"`
	Reason   string    `json:"reason"`
}

// Consumer is a durable consumer of the events' stream.
type Consumer struct {
	Name string `json:"name"`
	// Why is why it cannot be reset; empty if it can.
	Why string `json:"why"`
}

// maxRows bounds the list of dead letters.
const maxRows = 50

// Overview returns what can be replayed.
func (g *Gateway) Overview(ctx context.Context) (*Overview, error) {
	link, err := g.Link()
	if err != nil {
		return nil, err
	}
	o := &Overview{ByReason: make(map[string]uint64), Last: []Row{}, Consumers: []Consumer{}}
	info, err := g.countDeadLetters(ctx, link, o)
	if err != nil {
		return nil, err
	}
	if o.Last, err = g.lastRows(ctx, link, info); err != nil {
		return nil, err
	}
	if o.GivenUp, err = g.GivenUp(ctx); err != nil {
		return nil, err
	}
	o.Consumers, err = g.consumers(ctx, link)
	return o, err
}

// Count returns how many messages can be replayed.
func (g *Gateway) Count(ctx context.Context) (n uint64, err error) {
	link, err := g.Link()
	if err != nil {
		return 0, err
	}
	for _, spec := range []*stream.Spec{stream.DeadLetters, stream.GivenUp} {
		s, err := link.JS.Stream(ctx, g.Streams.Name(spec))
		if spec.Optional && errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("stream %s: %w", g.Streams.Name(spec), err)
		}
		n += s.CachedInfo().State.Msgs
	}
	return n, nil
}

func (g *Gateway) countDeadLetters(ctx context.Context, link *natsconn.Link, o *Overview) (*jetstream.StreamInfo, error) {
	name := g.Streams.Name(stream.DeadLetters)
	s, err := link.JS.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	o.DeadLetters = info.State.Msgs
	for subject, n := range info.State.Subjects {
		_, reason := platformAndReason(subject)
		o.ByReason[reason] += n
	}
	return info, nil
}

// platformAndReason returns the last two tokens of a dead letter's subject.
func platformAndReason(subject string) (platform, reason string) {
	tokens := strings.Split(subject, ".")
	n := len(tokens)
	return tokens[max(0, n-2)], tokens[n-1]
}

// lastRows reads the stream only if it has changed: a page asks every few seconds, and
// the server keeps the consumer of each reading for a while.
func (g *Gateway) lastRows(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo) ([]Row, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	state := [2]uint64{info.State.Msgs, info.State.LastSeq}
	if g.last != nil && g.state == state {
		return g.last, nil
	}
	rows, err := readRows(ctx, link, info)
	if err == nil {
		g.last, g.state = rows, state
	}
	return rows, err
}

// readRows goes back twice as far each time until there are enough.
func readRows(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo) ([]Row, error) {
	first, end := max(info.State.FirstSeq, 1), info.State.LastSeq+1
	for back := uint64(maxRows); info.State.Msgs > 0; back *= 2 {
		from := first
		if back < end-min(first, end) {
			from = end - back
		}
		rows, err := rowsFrom(ctx, link, info.Config.Name, from)
		if err != nil || len(rows) >= maxRows || from == first {
			slices.Reverse(rows)
			return rows[:min(len(rows), maxRows)], err
		}
	}
	return []Row{}, nil
}

func rowsFrom(ctx context.Context, link *natsconn.Link, name string, from uint64) ([]Row, error) {
	rows := []Row{}
	r, err := stream.Open(ctx, link, stream.ReaderConfig{Stream: name, Sequence: from, HeadersOnly: true, Inspects: "replay"})
	if err != nil {
		return rows, err
	}
	defer r.Close()
	for {
		m, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		platform, reason := platformAndReason(m.Subject)
		rows = append(rows, Row{m.Sequence, m.Time, platform, reason})
	}
}

func (g *Gateway) consumers(ctx context.Context, link *natsconn.Link) ([]Consumer, error) {
	s, err := link.JS.Stream(ctx, g.Streams.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", g.Streams.Stream, err)
	}
	all := []Consumer{}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable == "" || isOwn(info.Config.Durable) {
			continue
		}
		c := Consumer{Name: info.Config.Durable}
		if err := CanReset(c.Name, info.Config.DeliverPolicy); err != nil {
			c.Why = err.Error()
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Consumer) int { return cmp.Compare(a.Name, b.Name) })
	return all, list.Err()
}
