package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
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

// keepReading calls follow, which reads a stream until something fails, again and
// again until ctx ends.
func keepReading(ctx context.Context, stream string, t *trouble, follow func(context.Context) error) {
	for ctx.Err() == nil {
		if err := follow(ctx); ctx.Err() == nil {
			t.note(fmt.Errorf("%s cannot be read: %w", stream, err))
			sleep(ctx, maxRetryWait)
		}
	}
}

// forward makes what was taken a message for another stream, with its header but for
// what was said to the server that has stored it.
func forward(m jetstream.Msg, subject, stream string) message {
	header := m.Headers()
	maps.DeleteFunc(header, func(name string, _ []string) bool { return isControl(name) })
	return message{
		msg:     &nats.Msg{Subject: subject, Header: header, Data: m.Data()},
		stream:  stream,
		outcome: schema.Failed,
	}
}

// isControl tells whether a header is for the server: a condition, such as the
// sequence that a publisher expects, or an order, such as a rollup or a time to live.
// The gateway publishes none but the id; another program may. A second stream is in
// another state, and would refuse such a message for ever, or drop others for it.
func isControl(name string) bool {
	return strings.HasPrefix(name, "Nats-") && name != jetstream.MsgIDHeader
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
	return p.attempt(ctx, l, messages)
}
