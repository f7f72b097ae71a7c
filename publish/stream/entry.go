package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

// once has the client give up a message that no stream accepts at once, instead of
// retrying by itself: Send retries.
var once = []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}

const contentTypeHeader = "Content-Type"

// Entry is a message on its way into a stream.
type Entry struct {
	Msg     *nats.Msg
	Stream  string        // that must acknowledge it
	Reason  schema.Reason // of a dead letter
	Outcome schema.Outcome
	Stored  bool // now, not before

	future    jetstream.PubAckFuture // of the attempt in progress
	uncertain bool                   // an attempt got no response: it may have stored the message
}

// Entry returns the entry of an encoded item.
func (s *Settings) Entry(m *schema.Message) Entry {
	values := []string{m.ID, m.ContentType}
	header := nats.Header{jetstream.MsgIDHeader: values[:1:1], contentTypeHeader: values[1:]}
	maps.Copy(header, m.Header)
	return Entry{
		Msg:    &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data},
		Stream: s.Name(s.specOf(m.Subject)), Reason: m.DeadLetter, Outcome: schema.Failed,
	}
}

// size is what the server counts against max_payload, in bytes: header and body.
func (e *Entry) size() int { return e.Msg.Size() - len(e.Msg.Subject) - len(e.Msg.Reply) }

// send starts an attempt. All attempts use the same message: the client publishes a copy
// with a reply subject of its own.
func (e *Entry) send(js jetstream.JetStream) error {
	future, err := js.PublishMsgAsync(e.Msg, once...)
	switch {
	case err == nil:
		e.future = future
		return nil
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return nats.ErrDisconnected // which is what it means without a buffer
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrConnectionClosed):
		return finalError{fmt.Errorf("publish: %w", err)}
	default:
		return fmt.Errorf("publish: %w", err)
	}
}

// await waits for the response to the attempt. The client ends each attempt after its
// acknowledgement timeout.
func (e *Entry) await(ctx context.Context) error {
	future := e.future
	e.future = nil
	select {
	case ack := <-future.Ok():
		return e.acknowledged(ack)
	case err := <-future.Err():
		return e.failed(err)
	case <-ctx.Done():
	}
	// A response that has arrived counts although ctx has ended.
	select {
	case ack := <-future.Ok():
		return e.acknowledged(ack)
	default:
		return e.failed(ctx.Err())
	}
}

func (e *Entry) acknowledged(ack *jetstream.PubAck) error {
	if ack.Stream != e.Stream {
		return finalError{fmt.Errorf("stream %s stored what belongs into %s: expected only one of them to capture its subject", ack.Stream, e.Stream)}
	}
	// The duplicate of our own attempt without a response is not a duplicate.
	e.Stored = !ack.Duplicate || e.uncertain
	switch {
	case e.Reason != "":
		e.Outcome = schema.Rejected
	case e.Stored:
		e.Outcome = schema.Stored
	default:
		e.Outcome = schema.Duplicate
	}
	return nil
}

func (e *Entry) failed(err error) error {
	code := errorCode(err)
	if code == 0 && !errors.Is(err, jetstream.ErrNoStreamResponse) {
		e.uncertain = true
	}
	switch code {
	case 0, errCodeNotAvailable, errCodeNotLeader, errCodeInProcess:
		return err // it passes by itself
	default:
		return finalError{fmt.Errorf("stream %s refuses: %w", e.Stream, err)}
	}
}

// finalError is one that another attempt would only repeat.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// IsFinal reports whether another attempt would only repeat the error.
func IsFinal(err error) bool {
	var final finalError
	return errors.As(err, &final)
}
