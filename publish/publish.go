package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// Publish stores the items in their order. It returns when the stream has acknowledged all
// of them and they are durable, or when ctx ends. It returns at once if the stream rejects
// one for good, if there has been no connection for a second, and while the circuit breaker
// is open. There is one outcome for each item, valid with an error too. The error is for
// the log, and with it at least one outcome is schema.Failed. Publishing the same items
// again is safe.
//
// After a failure no later item is begun. Of the messages that were already in flight (up
// to 512) later ones may be stored before earlier ones.
func (p *Publisher) Publish(ctx context.Context, items []schema.Item) (outcomes []schema.Outcome, err error) {
	outcomes = allFailed(len(items))
	if len(items) == 0 {
		return outcomes, nil
	}
	if err := p.begin(); err != nil {
		return outcomes, err
	}
	defer p.inProgress.Done()
	if p.cfg.Tracer != nil {
		var span trace.Span
		ctx, span = p.cfg.startSpan(ctx, len(items))
		defer func() { endSpan(span, err) }()
	}
	defer func(start time.Time) { p.metrics.publish.Observe(time.Since(start).Seconds()) }(time.Now())

	link, err := p.link()
	if err != nil {
		return outcomes, err
	}
	ctx, release, err := p.breaker.allow(ctx)
	if err != nil {
		return outcomes, err
	}
	defer release()
	deadLetters, err := p.store(ctx, link, items, outcomes)
	// Duplicates wait for the sync too: the first one may have been stored a moment ago, or
	// just before a crash.
	if slices.ContainsFunc(outcomes, func(o schema.Outcome) bool { return o != schema.Failed }) {
		if syncErr := p.waitUntilDurable(ctx); syncErr != nil {
			return allFailed(len(items)), errors.Join(err, syncErr)
		}
	}
	for _, reason := range deadLetters {
		p.CountDeadLetter(reason)
	}
	return outcomes, err
}

func allFailed(n int) []schema.Outcome { return slices.Repeat([]schema.Outcome{schema.Failed}, n) }

// batch is what deliveries reuse: entries, and room for the data of a few events.
type batch struct {
	entries []stream.Entry
	room    []byte
}

const (
	maxReused = 64       // entries
	maxRoom   = 64 << 10 // that is kept
	roomSize  = 4 << 10
	minRoom   = 1 << 10 // usual events are smaller
)

var batches = sync.Pool{New: func() any { return &batch{room: make([]byte, 0, roomSize)} }}

// store publishes the items batch by batch and sets their outcomes. It returns the reasons
// of the dead letters among them. A batch is kept until it is acknowledged, and no longer.
func (p *Publisher) store(ctx context.Context, link *natsconn.Link, items []schema.Item, outcomes []schema.Outcome) (deadLetters []schema.Reason, err error) {
	limit := p.monitor.Streams.Limit()
	var headers stream.TraceHeaders
	if p.cfg.Tracer != nil {
		headers = p.cfg.traceHeaders(ctx)
		limit -= headers.Room()
	}
	reused := batches.Get().(*batch)
	entries, room := slices.Grow(reused.entries[:0], min(len(items), stream.MaxBatch)), reused.room
	if len(items) <= maxReused { // else the entries are not kept
		reused.entries = entries
	}
	size := 0
	defer func() {
		if size > cap(reused.room) && size <= maxRoom { // the next delivery may be as large
			reused.room = make([]byte, 0, size)
		}
		batches.Put(reused)
	}()
	for begin := 0; begin < len(items); begin += len(entries) {
		entries = entries[:min(len(items)-begin, stream.MaxBatch)]
		for i := range entries {
			m, err := items[begin+i].MessageIn(room, p.cfg.EventSubjects(), limit)
			if err != nil {
				return deadLetters, fmt.Errorf("item %d of %d: encode: %w", begin+i+1, len(items), err)
			}
			p.cfg.Fill(&entries[i], &m)
			size += len(m.Data)
			used := min(len(m.Data), cap(room))
			if room = room[used:used]; cap(room) < minRoom {
				room = make([]byte, 0, roomSize)
			}
			if headers != nil {
				headers.AddTo(entries[i].Msg.Header)
			}
		}
		err := p.send(ctx, link, entries)
		for i := range entries {
			outcomes[begin+i] = entries[i].Outcome
			if entries[i].Reason != "" && entries[i].Stored {
				deadLetters = append(deadLetters, entries[i].Reason)
			}
			if e := items[begin+i].Event; e != nil && entries[i].Outcome == schema.Duplicate {
				p.checkConflict(link, &entries[i], e)
			}
		}
		if err != nil {
			return deadLetters, fmt.Errorf("delivery of %d events: %w", len(items), err)
		}
	}
	return deadLetters, nil
}

// send repeats attempts until every entry is acknowledged, one is rejected for good, or ctx
// ends.
func (p *Publisher) send(ctx context.Context, link *natsconn.Link, entries []stream.Entry) error {
	start := time.Now()
	ids := p.duplicates.of(entries)
	defer ids.add()
	return p.sender.Send(ctx, entries,
		func() (*natsconn.Link, error) { return link, ids.find() },
		func(err error) error {
			if stream.IsFinal(err) && !p.monitor.MakeRoom(ctx, stream.FullStream(err)) {
				return err
			}
			p.breaker.failed(start, err)
			return nil
		})
}

// waitUntilDurable waits until what was acknowledged is durable.
func (p *Publisher) waitUntilDurable(ctx context.Context) error {
	switch {
	case p.group != nil:
		return p.group.wait(ctx)
	case p.cfg.Check != nil:
		// In this goroutine: a group would start another one for nearly every delivery,
		// at several times the cost of the check.
		err := p.cfg.Check()
		if err != nil {
			p.syncFailed(err)
		}
		return err
	default:
		return nil
	}
}

// CountDeadLetter counts a dead letter that was stored.
func (p *Publisher) CountDeadLetter(reason schema.Reason) {
	p.metrics.deadLetters.WithLabelValues(string(reason)).Inc()
}
