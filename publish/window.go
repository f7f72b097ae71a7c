package publish

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// windowBytes bounds the messages of one window; window bounds their number. A
// window is under way in a moment, so that a cluster that changes its leader
// meanwhile takes a part from its beginning and not one from its end.
const windowBytes = 4 << 20

// windowWait is how long a window that has begun waits for a next message that
// is announced.
const windowWait = 100 * time.Millisecond

// reader takes what a durable consumer delivers, a window at a time. What it
// holds in memory is bounded, whatever the backlog.
type reader struct {
	messages jetstream.MessagesContext
	inOrder  bool   // what is sent again is here already: nobody else has taken it
	last     uint64 // sequence up to which messages were taken
}

func newReader(consumer jetstream.Consumer, inOrder bool) (*reader, error) {
	messages, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(window, windowBytes))
	return &reader{messages: messages, inOrder: inOrder}, err
}

func (r *reader) stop() { r.messages.Stop() }

// take waits for a message and returns it with those that are there already,
// and when the first one was stored.
func (r *reader) take(ctx context.Context) (all []jetstream.Msg, stored time.Time, err error) {
	for size := 0; len(all) < window && size < windowBytes; {
		m, err := r.next(ctx, len(all) == 0)
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			return nil, stored, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, stored, err
		}
		if r.inOrder && meta.Sequence.Stream <= r.last {
			continue
		}
		if len(all) == 0 {
			stored = meta.Timestamp
		}
		r.last = meta.Sequence.Stream
		size += len(m.Data())
		if all = append(all, m); meta.NumPending == 0 {
			break
		}
	}
	return all, stored, nil
}

func (r *reader) next(ctx context.Context, first bool) (jetstream.Msg, error) {
	if first {
		return r.messages.Next(jetstream.NextContext(ctx))
	}
	return r.messages.Next(jetstream.NextMaxWait(windowWait))
}

// insist returns when the streams have acknowledged all messages, in their order,
// or when ctx ends. There is no other way out: nothing is given up, and nothing
// overtakes.
func (p *Publisher) insist(ctx context.Context, messages []message, t *trouble) error {
	for pause := retryWait; ; pause = min(2*pause, maxRetryWait) {
		err := p.tryAll(ctx, messages)
		if err == nil {
			t.clear()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.note(err)
		sleep(ctx, pause)
	}
}

func (p *Publisher) tryAll(ctx context.Context, messages []message) error {
	l, err := p.current()
	if err != nil {
		return err
	}
	limit := p.limit(l)
	for i := range messages {
		if err := messages[i].fit(&p.cfg, limit); err != nil {
			return err
		}
	}
	err = p.attempt(ctx, l, messages)
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		p.wake() // maybe somebody has deleted the stream: then it is created again
	}
	return err
}

// trouble is why something in the background does not get on. It is logged, the
// same thing once in a row, and kept for those who ask.
type trouble struct {
	log  *slog.Logger
	who  string
	text atomic.Value // string
}

func newTrouble(log *slog.Logger, who string) *trouble {
	t := &trouble{log: log, who: who}
	t.text.Store("")
	return t
}

func (t *trouble) note(err error) {
	if text := err.Error(); t.text.Swap(text) != text {
		t.log.Warn(t.who+" waits, and tries again", slog.Any("error", err))
	}
}

func (t *trouble) clear() {
	if t.text.Swap("") != "" {
		t.log.Info(t.who + " goes on")
	}
}

// String is the last error; empty while there is none.
func (t *trouble) String() string { return t.text.Load().(string) }

// sleep waits, no longer than ctx lasts.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
