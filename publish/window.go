package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// alone says that nobody else takes from the consumer, which has just been reset:
	// what does not arrive here is missing, and what is sent again is here already.
	alone     bool
	delivered uint64 // messages that the server has delivered, by its count
	last      uint64 // sequence up to which messages were taken
	broken    error  // what is behind the messages that were taken last
}

// Codes of API errors with which the server refuses to create a consumer.
const (
	errCodeConsumerCreate jetstream.ErrorCode = 10012 // for no reason that has a code of its own
	errCodeConsumerStore  jetstream.ErrorCode = 10104
)

// durable returns the durable consumer and creates it if need be.
//
// A power cut can leave a state file that the server cannot read. The server then
// knows no such consumer, so nobody can delete it, and refuses to create it again
// because of the file. One that is kept in memory needs no file: it has the same
// name, so the retention and the metrics find it, and lasts until the server is
// restarted. Messages that the dead one had acknowledged are read again.
func (p *Publisher) durable(ctx context.Context, l *link, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := l.js.CreateOrUpdateConsumer(ctx, stream, cfg)
	if code := apiCode(err); code != errCodeConsumerCreate && code != errCodeConsumerStore {
		return consumer, err
	}
	cfg.MemoryStorage = true
	consumer, memoryErr := l.js.CreateOrUpdateConsumer(ctx, stream, cfg)
	if memoryErr != nil {
		return nil, errors.Join(err, memoryErr)
	}
	p.log.Warn("the server cannot read a consumer: it is kept in memory until the server is restarted, and reads again what it has read",
		slog.String("stream", stream), slog.String("consumer", cfg.Durable), slog.Any("error", err))
	return consumer, nil
}

// newReader asks for a window when the last one has been read. The client library
// drops what does not fit into a buffer of the size of a window, and what the server
// says about a request that has ended takes a place in it, too.
func newReader(consumer jetstream.Consumer, alone bool) (*reader, error) {
	messages, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(window, windowBytes), jetstream.PullThresholdMessages(1))
	return &reader{messages: messages, alone: alone}, err
}

func (r *reader) stop() { r.messages.Stop() }

// take waits for a message and returns it with those that are there already.
func (r *reader) take(ctx context.Context) (all []jetstream.Msg, err error) {
	if r.broken != nil {
		return nil, r.broken
	}
	for size := 0; len(all) < window && size < windowBytes; {
		m, meta, err := r.one(ctx, len(all) == 0)
		switch {
		case errors.Is(err, nats.ErrTimeout):
			return all, nil
		case err != nil && len(all) > 0:
			r.broken = err
			return all, nil
		case err != nil:
			return nil, err
		case r.alone && meta.Sequence.Stream <= r.last:
			continue
		}
		r.last = meta.Sequence.Stream
		size += len(m.Data())
		if all = append(all, m); meta.NumPending == 0 {
			break
		}
	}
	return all, nil
}

// one returns the next message. To go on behind one that is missing would be to
// acknowledge it unread.
func (r *reader) one(ctx context.Context, first bool) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	m, err := r.next(ctx, first)
	if err != nil {
		return nil, nil, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, nil, err
	}
	if expected := r.delivered + 1; r.alone && meta.Sequence.Consumer != expected {
		return nil, nil, fmt.Errorf("message %d was delivered and message %d was expected: what is between did not arrive", meta.Sequence.Consumer, expected)
	}
	r.delivered++
	return m, meta, nil
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

// forward makes what is in one stream a message for another, with its header but for
// what is said to servers and clients.
func forward(header nats.Header, data []byte, subject, stream string) message {
	maps.DeleteFunc(header, func(name string, _ []string) bool { return isControl(name) })
	return message{
		msg:     &nats.Msg{Subject: subject, Header: header, Data: data},
		stream:  stream,
		outcome: schema.Failed,
	}
}

// isControl tells whether a header is for the server: a condition, such as the
// sequence that a publisher expects, or an order, such as a rollup or a time to live.
// The gateway publishes none but the id; another program may. A second stream is in
// another state, and would refuse such a message for ever, or drop others for it.
// A status is for the client library, see isDisguised.
func isControl(name string) bool {
	return strings.HasPrefix(name, "Nats-") && name != jetstream.MsgIDHeader || name == statusHeader
}

// statusHeader is what a server tells clients a status with.
const statusHeader = "Status"

// isDisguised tells whether the client library takes a stored message for a word of
// the server. It swallows that, or ends with it. The gateway's messages all have data;
// another program's may not.
func isDisguised(m *jetstream.RawStreamMsg) bool {
	return len(m.Data) == 0 && m.Header.Get(statusHeader) != ""
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
