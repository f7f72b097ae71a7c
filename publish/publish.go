package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

// window is how many messages of one delivery are under way at once. It keeps
// the pipeline full, bounds the memory of a large delivery, and bounds what all
// callers together have unacknowledged.
const window = 512

// Waits between attempts. The first is short: most failures are a connection
// that is back at once or an id that another delivery is storing just now.
const (
	retryWait    = 10 * time.Millisecond
	maxRetryWait = 250 * time.Millisecond
)

// Publish stores the items in their order and returns when the stream has
// acknowledged all of them and they are durable, or when ctx ends. It returns at
// once when the stream refuses one for good, when there has been no connection for
// a second, and while the store is known not to answer. The outcomes are one per
// item, valid with an error too; the error is for the log, and with it at least one
// outcome is schema.Failed. Publishing the same items again is safe.
//
// After a failure no later item of the delivery is begun, but of the messages
// that were already under way (up to 512) later ones may be stored before
// earlier ones are.
func (p *Publisher) Publish(ctx context.Context, items []schema.Item) (outcomes []schema.Outcome, err error) {
	outcomes = slices.Repeat([]schema.Outcome{schema.Failed}, len(items))
	if len(items) == 0 {
		return outcomes, nil
	}
	if err := p.enter(); err != nil {
		return outcomes, err
	}
	defer p.underWay.Done()
	ctx, span := p.startSpan(ctx, len(items))
	defer func() { endSpan(span, err) }()
	defer func(start time.Time) { p.metrics.publish.Observe(time.Since(start).Seconds()) }(time.Now())

	l, err := p.current()
	if err != nil {
		return outcomes, err
	}
	ctx, leave, err := p.outage.admit(ctx)
	if err != nil {
		return outcomes, err
	}
	defer leave()
	sent, err := p.store(ctx, l, items)
	if syncErr := p.endure(ctx, sent); syncErr != nil {
		return outcomes, errors.Join(err, syncErr)
	}
	for i := range sent {
		outcomes[i] = sent[i].outcome
		p.countDeadLetter(&sent[i])
	}
	return outcomes, err
}

// store publishes the items window by window and returns what was begun.
func (p *Publisher) store(ctx context.Context, l *link, items []schema.Item) ([]message, error) {
	passed := p.traceHeaders(ctx)
	limit := p.limit(l) - passed.room()
	sent := make([]message, 0, len(items))
	for part := range slices.Chunk(items, window) {
		begin := len(sent)
		for i := range part {
			m, err := p.encode(&part[i], limit)
			if err != nil {
				return sent[:begin], fmt.Errorf("item %d of %d: %w", begin+i+1, len(items), err)
			}
			passed.addTo(m.msg.Header)
			sent = append(sent, m)
		}
		if err := p.settle(ctx, l, sent[begin:]); err != nil {
			return sent, fmt.Errorf("delivery of %d events: %w", len(items), err)
		}
	}
	return sent, nil
}

// limit is the largest message, header included, that can be stored now, in bytes.
func (p *Publisher) limit(l *link) int {
	limit := l.nc.MaxPayload()
	if stream := p.streamLimit.Load(); stream > 0 {
		limit = min(limit, stream)
	}
	return int(limit)
}

// settle repeats attempts until every message is acknowledged, one is refused
// for good, or ctx ends.
func (p *Publisher) settle(ctx context.Context, l *link, messages []message) error {
	start := time.Now()
	for pause := retryWait; ; pause = min(2*pause, maxRetryWait) {
		err := p.attempt(ctx, l, messages)
		if err == nil || isFinal(err) && !p.madeRoom(ctx, err) {
			return err
		}
		p.outage.suspect(start, err)
		if sleep(ctx, pause); ctx.Err() != nil {
			return fmt.Errorf("not acknowledged in time by %s (%w): %w", p.cfg.where(), context.Cause(ctx), err)
		}
	}
}

// madeRoom tells whether a stream that refused because it is full has room now.
func (p *Publisher) madeRoom(ctx context.Context, err error) bool {
	if p.keeper == nil || apiCode(err) != errCodeStoreFailed {
		return false
	}
	room, err := p.keeper.makeRoom(ctx, true)
	return room && err == nil
}

// attempt publishes what is not stored yet, in order, and collects the
// acknowledgements. It returns a final error where there was one, else the first.
func (p *Publisher) attempt(ctx context.Context, l *link, messages []message) error {
	var first error
	for i := range messages {
		m := &messages[i]
		if m.outcome != schema.Failed {
			continue
		}
		// Where one cannot be sent none after it is, so that they keep their order.
		if first = p.canSend(ctx); first == nil {
			first = m.send(l.js)
		}
		if first != nil {
			break
		}
	}
	for i := range messages {
		m := &messages[i]
		if m.future == nil {
			continue
		}
		err := m.await(ctx)
		if err == nil {
			p.outage.acknowledged()
		} else if first == nil || isFinal(err) && !isFinal(first) {
			first = err
		}
	}
	if errors.Is(first, jetstream.ErrNoStreamResponse) {
		p.wake() // maybe somebody has deleted the stream: then it is created again
	}
	return first
}

// canSend tells whether a send would return at once: it blocks while the
// connection is being restored, whatever ctx says.
func (p *Publisher) canSend(ctx context.Context) error {
	if !p.online.Load() {
		return nats.ErrDisconnected
	}
	return ctx.Err()
}

// endure waits until what was acknowledged is durable. Duplicates wait too: what
// they repeat may have been stored a moment ago, or just before a crash.
func (p *Publisher) endure(ctx context.Context, sent []message) error {
	acknowledged := slices.ContainsFunc(sent, func(m message) bool { return m.outcome != schema.Failed })
	if p.group == nil || !acknowledged {
		return nil
	}
	return p.group.wait(ctx)
}

func (p *Publisher) countDeadLetter(m *message) {
	if m.outcome == schema.Rejected && m.stored {
		p.metrics.deadLetters.WithLabelValues(string(m.reason)).Inc()
	}
}

// refusal is an error that publishing the same again would only repeat.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func isFinal(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// Codes of API errors that pass by themselves.
const (
	errCodeNotAvailable jetstream.ErrorCode = 10008 // a cluster without its leader
	errCodeNotLeader    jetstream.ErrorCode = 10009
	errCodeInProcess    jetstream.ErrorCode = 10158 // the same id is being stored by another publish

	errCodeStoreFailed jetstream.ErrorCode = 10077 // the stream is at a bound
)

// judge makes a refusal of what a stream answers, but for what passes by itself.
func judge(stream string, err error) error {
	switch apiCode(err) {
	case 0, errCodeNotAvailable, errCodeNotLeader, errCodeInProcess:
		return err
	default:
		return refusal{fmt.Errorf("stream %s refuses: %w", stream, err)}
	}
}
