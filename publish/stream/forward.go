package stream

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

// statusHeader is the header with which a server sends a status to its clients.
const statusHeader = "Status"

// looksLikeStatus reports whether the client takes a stored message for a status of the
// server. The gateway's messages all have data; another program's may not.
func (m *Message) looksLikeStatus() bool {
	return len(m.Data) == 0 && m.Header.Get(statusHeader) != ""
}

// Forward returns an entry of a stored message for another stream. It drops the headers
// that are meant for servers and clients.
func (m *Message) Forward(subject, stream string) Entry {
	maps.DeleteFunc(m.Header, func(name string, _ []string) bool { return isControl(name) })
	return Entry{Msg: &nats.Msg{Subject: subject, Header: m.Header, Data: m.Data}, Stream: stream, Outcome: schema.Failed}
}

// isControl reports whether a header is meant for the server: a condition, such as an
// expected sequence, or a command, such as a rollup or a time to live. The gateway only
// publishes the id; another program may publish others. A second stream is in another
// state: it would reject such a message forever, or drop others for it.
func isControl(name string) bool {
	return strings.HasPrefix(name, "Nats-") && name != jetstream.MsgIDHeader || name == statusHeader
}

// Fit makes a stored message one that the streams accept; limit is in bytes. Headers of
// other programs count too. What fits in no other way becomes a dead letter, so that
// nothing behind it waits forever.
func (e *Entry) Fit(s *Settings, limit int) error {
	taken := s.takes(e)
	if taken && e.size() <= limit {
		return nil
	}
	trace := traceHeadersOf(e.Msg.Header)
	small, err := e.shrink(s, limit-trace.Room(), taken)
	if err == nil {
		*e = Entry{}
		s.Fill(e, &small)
		trace.AddTo(e.Msg.Header)
	}
	return err
}

// takes reports whether the entry's stream accepts its subject. A program that publishes
// to a wider stream on this machine can use others.
func (s *Settings) takes(e *Entry) bool {
	for _, spec := range Specs {
		if s.Name(spec) == e.Stream {
			return server.IsValidSubject(e.Msg.Subject) && captures(&jetstream.StreamConfig{Subjects: s.Subjects(spec)}, e.Msg.Subject)
		}
	}
	return true
}

// shrink returns a message of the gateway in a form that fits. It returns a dead letter
// for anything else: for a message of another program, for one that is only too large
// because of another program's headers, and for one with a subject that is not accepted.
func (e *Entry) shrink(s *Settings, limit int, taken bool) (schema.Message, error) {
	id := e.Msg.Header.Get(jetstream.MsgIDHeader)
	stored := schema.Message{Subject: strings.TrimPrefix(e.Msg.Subject, Unclaimed.Prefix), ID: id, Data: e.Msg.Data}
	if e.Stream == s.Name(DeadLetters) {
		stored.DeadLetter = schema.Reason(e.Msg.Subject[strings.LastIndexByte(e.Msg.Subject, '.')+1:])
	}
	if taken && stored.Size() > limit {
		if small, err := stored.Shrink(s.Root, limit); err == nil {
			return small, nil
		}
	}
	foreign := schema.Item{Body: e.Msg.Data, Rejection: schema.Rejection{
		Reason: schema.ReasonNotRelayed, Platform: schema.UnknownPlatform, ReceivedAt: time.Now(),
		Detail: fmt.Sprintf("message %.100q on subject %.100q takes %d bytes with its header; expected at most %d on a subject that stream %s captures",
			id, e.Msg.Subject, e.size(), limit, e.Stream),
	}}
	return foreign.Message(s.EventSubjects(), limit)
}
