package stream

import (
	"errors"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

const contentTypeHeader = "Content-Type"

// Entry is a message on its way into a stream.
type Entry struct {
	Msg     *nats.Msg
	Stream  string        // that must acknowledge it
	Reason  schema.Reason // of a dead letter
	Outcome schema.Outcome
	Stored  bool // now, not before
	// Sequence is that of the message in the stream; of the first one for a duplicate.
	Sequence uint64

	number    uint64 // of the attempt in progress; 0: none
	uncertain bool   // an attempt got no response: it may have stored the message
}

// Fill makes e the entry of an encoded item. An entry that was filled before lends its
// message, which nobody may use any more.
func (s *Settings) Fill(e *Entry, m *schema.Message) {
	msg := e.Msg
	if msg == nil || len(msg.Header) != 2 { // with further headers
		msg = &nats.Msg{Header: nats.Header{jetstream.MsgIDHeader: {""}, contentTypeHeader: {""}}}
	}
	msg.Header[jetstream.MsgIDHeader][0], msg.Header[contentTypeHeader][0] = m.ID, m.ContentType
	maps.Copy(msg.Header, m.Header)
	msg.Subject, msg.Data = m.Subject, m.Data
	*e = Entry{Msg: msg, Stream: s.Name(s.SpecOf(m.Subject)), Reason: m.DeadLetter, Outcome: schema.Failed}
}

// ID is by which the stream recognises the entry.
func (e *Entry) ID() string { return e.Msg.Header[jetstream.MsgIDHeader][0] }

// StoredAs records that the stream has the entry's id already.
func (e *Entry) StoredAs(sequence uint64) error {
	return e.acknowledged(&jetstream.PubAck{Stream: e.Stream, Sequence: sequence, Duplicate: true})
}

// size is what the server counts against max_payload, in bytes: header and body.
func (e *Entry) size() int { return e.Msg.Size() - len(e.Msg.Subject) - len(e.Msg.Reply) }

// publishError says what is wrong if an entry could not be sent.
func publishError(err error) error {
	switch {
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return nats.ErrDisconnected // which is what it means without a buffer
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrConnectionClosed):
		return finalError{fmt.Errorf("publish: %w", err)}
	default:
		return fmt.Errorf("publish: %w", err)
	}
}

// respond records the response to the attempt.
func (e *Entry) respond(r *response) error {
	e.number = 0
	if r.msg != nil {
		if sequence, found := usualAck(r.msg.Data, e.Stream); found {
			return e.acknowledged(&jetstream.PubAck{Stream: e.Stream, Sequence: sequence})
		}
	}
	ack, err := r.ack()
	if err != nil {
		return e.failed(err)
	}
	return e.acknowledged(&ack)
}

func (e *Entry) acknowledged(ack *jetstream.PubAck) error {
	if ack.Stream != e.Stream {
		return finalError{fmt.Errorf("stream %s stored what belongs into %s: expected only one of them to capture its subject", ack.Stream, e.Stream)}
	}
	e.Sequence = ack.Sequence
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
		return finalError{rejectedError{e.Stream, err}}
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
