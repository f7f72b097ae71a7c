//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// batch is a number of deliveries that were sent, of so many events each, and what
// became of each. first is the number of its first event.
type batch struct {
	first, events int
	outcomes      []outcome
}

// ledger counts how often each event is stored.
type ledger struct {
	batches []batch
	counts  []uint8  // by number of the event
	alien   []string // ids that were never sent
}

// newLedger expects batches that follow each other.
func newLedger(batches ...batch) *ledger {
	last := batches[len(batches)-1]
	return &ledger{batches: batches, counts: make([]uint8, last.first+last.events*len(last.outcomes))}
}

func (l *ledger) add(id string) {
	n, ok := eventNumber(id)
	if !ok || n >= len(l.counts) {
		l.alien = append(l.alien, id)
		return
	}
	l.counts[n] = min(l.counts[n], 254) + 1
}

// check returns an error where an event that was answered 200 is not stored exactly
// once, another one more than once, or something that was never sent.
func (l *ledger) check() error {
	missing, repeated := 0, 0
	var first string
	for _, b := range l.batches {
		for i := range b.events * len(b.outcomes) {
			count, answered := l.counts[b.first+i], b.outcomes[i/b.events] == stored
			switch {
			case count > 1:
				repeated++
			case count == 0 && answered:
				missing++
			default:
				continue
			}
			if first == "" {
				first = fmt.Sprintf("; the first is %s%0*d, stored %d times", idPrefix, len(idDigits), b.first+i, count)
			}
		}
	}
	if missing > 0 || repeated > 0 {
		return fmt.Errorf("%d events were answered 200 and are not stored, %d are stored more than once%s", missing, repeated, first)
	}
	if len(l.alien) > 0 {
		return fmt.Errorf("%d events are stored that were never sent; the first is %q", len(l.alien), l.alien[0])
	}
	return nil
}

// readBack checks the stream of a service against the answers that came from it.
func (s *service) readBack(ctx context.Context, batches ...batch) error {
	nc, err := nats.Connect(s.nats)
	if err != nil {
		return err
	}
	defer nc.Close()
	l := newLedger(batches...)
	if err := readIDs(ctx, nc, s.stream, l.add); err != nil {
		return fmt.Errorf("reading stream %s: %w", s.stream, err)
	}
	return l.check()
}

// readIDs calls add with the id of every message of a stream.
func readIDs(ctx context.Context, nc *nats.Conn, name string, add func(id string)) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(4096))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for left := stream.CachedInfo().State.Msgs; left > 0; left-- {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		m, err := messages.Next(jetstream.NextContext(ctx))
		cancel()
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
		add(m.Headers().Get(jetstream.MsgIDHeader))
	}
	return nil
}
