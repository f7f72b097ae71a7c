package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

// once makes the library give up a message that no stream takes at once, rather
// than after half a second of its own attempts: settle repeats it.
var once = []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}

const contentTypeHeader = "Content-Type"

// message is one item on its way to the stream.
type message struct {
	msg    *nats.Msg
	stream string        // that has to acknowledge it
	reason schema.Reason // of a dead letter

	future    jetstream.PubAckFuture // of the attempt under way
	uncertain bool                   // an attempt ended without an answer: it may have been stored
	outcome   schema.Outcome
	stored    bool // now, not before
}

// encode turns an item into its message. The same *nats.Msg serves all attempts:
// the library publishes a copy of it with a reply subject of its own.
func (p *Publisher) encode(item *schema.Item, limit int) (message, error) {
	m, err := item.Message(p.cfg.Root, limit)
	if err != nil {
		return message{}, fmt.Errorf("encode: %w", err)
	}
	return p.cfg.message(&m), nil
}

func (c *Config) message(m *schema.Message) message {
	stream := c.Stream
	if m.DeadLetter != "" {
		stream = c.deadLetterStream()
	}
	values := []string{m.ID, m.ContentType}
	return message{
		msg: &nats.Msg{
			Subject: m.Subject,
			Header:  nats.Header{jetstream.MsgIDHeader: values[:1:1], contentTypeHeader: values[1:]},
			Data:    m.Data,
		},
		stream: stream, reason: m.DeadLetter, outcome: schema.Failed,
	}
}

// fit makes a stored message one that other servers take than the ones that it was
// stored by; limit is in bytes. Other headers than the gateway's own go with the event.
// What fits in no other way becomes a dead letter: nothing behind it waits for ever.
func (m *message) fit(c *Config, limit int) error {
	taken := !c.relay || c.takes(m)
	if taken && m.size() <= limit {
		return nil
	}
	trace := traceHeadersOf(m.msg.Header)
	small, err := m.shrink(c, limit-trace.room(), taken)
	if err == nil {
		*m = c.message(&small)
		trace.addTo(m.msg.Header)
	}
	return err
}

// takes reports whether the message's stream can take its subject. A program that
// publishes to a wider stream on this machine can use others.
func (c *Config) takes(m *message) bool {
	filter := c.eventSubjects()
	if m.stream == c.deadLetterStream() {
		filter = c.deadLetterSubjects()
	}
	return server.IsValidSubject(m.msg.Subject) && server.SubjectMatchesFilter(m.msg.Subject, filter)
}

// shrink returns what the gateway stored in a form that fits, and a dead letter for
// anything else: for a message of another program, for one that is only too large
// because of another program's headers, and for one whose subject is not taken.
func (m *message) shrink(c *Config, limit int, taken bool) (schema.Message, error) {
	id := m.msg.Header.Get(jetstream.MsgIDHeader)
	stored := schema.Message{Subject: strings.TrimPrefix(m.msg.Subject, unclaimedRoot), ID: id, Data: m.msg.Data}
	if m.stream == c.deadLetterStream() {
		stored.DeadLetter = schema.Reason(m.msg.Subject[strings.LastIndexByte(m.msg.Subject, '.')+1:])
	}
	if taken && stored.Size() > limit {
		if small, err := stored.Shrink(c.Root, limit); err == nil {
			return small, nil
		}
	}
	foreign := schema.Item{Body: m.msg.Data, Rejection: schema.Rejection{
		Reason: schema.ReasonNotRelayed, Platform: schema.UnknownPlatform, ReceivedAt: time.Now(),
		Detail: fmt.Sprintf("message %.100q on subject %.100q takes %d bytes with its header; expected at most %d on a subject that stream %s captures",
			id, m.msg.Subject, m.size(), limit, m.stream),
	}}
	return foreign.Message(c.Root, limit)
}

// size is what the server counts against max_payload, in bytes: header and body
// together.
func (m *message) size() int { return m.msg.Size() - len(m.msg.Subject) - len(m.msg.Reply) }

func (m *message) send(js jetstream.JetStream) error {
	future, err := js.PublishMsgAsync(m.msg, once...)
	switch {
	case err == nil:
		m.future = future
		return nil
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return nats.ErrDisconnected // what it means, with nothing kept for later
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrConnectionClosed):
		return refusal{fmt.Errorf("publish: %w", err)}
	default:
		return fmt.Errorf("publish: %w", err)
	}
}

// await takes the answer of the attempt under way. The library ends each
// attempt after AckTimeout.
func (m *message) await(ctx context.Context) error {
	future := m.future
	m.future = nil
	select {
	case ack := <-future.Ok():
		return m.acknowledged(ack)
	case err := <-future.Err():
		return m.failed(err)
	case <-ctx.Done():
	}
	// An answer that is there counts although ctx has ended.
	select {
	case ack := <-future.Ok():
		return m.acknowledged(ack)
	default:
		return m.failed(ctx.Err())
	}
}

func (m *message) acknowledged(ack *jetstream.PubAck) error {
	if ack.Stream != m.stream {
		return refusal{fmt.Errorf("stream %s stored what belongs into %s: expected only one of them to capture its subject", ack.Stream, m.stream)}
	}
	// A duplicate of an attempt of our own that got no answer is no duplicate.
	m.stored = !ack.Duplicate || m.uncertain
	switch {
	case m.reason != "":
		m.outcome = schema.Rejected
	case m.stored:
		m.outcome = schema.Stored
	default:
		m.outcome = schema.Duplicate
	}
	return nil
}

func (m *message) failed(err error) error {
	if apiCode(err) == 0 && !errors.Is(err, jetstream.ErrNoStreamResponse) {
		m.uncertain = true
	}
	return judge(m.stream, err)
}
