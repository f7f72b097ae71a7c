package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/schema"
)

// Pauses between attempts. The first is short: most failures are a connection that is
// restored at once, or an id that another delivery is storing.
const (
	minRetryPause = 10 * time.Millisecond
	maxRetryPause = 250 * time.Millisecond
)

// Sender publishes entries in their order.
type Sender struct {
	Conn *natsconn.Conn
	// Acknowledged, if not nil, is called for each acknowledgement.
	Acknowledged func()
}

// Send repeats attempts until all entries are acknowledged, failed returns an error, or
// ctx ends. It calls failed with each error. prepare returns the connection for the next
// attempt.
func (s *Sender) Send(ctx context.Context, entries []Entry, prepare func() (*natsconn.Link, error), failed func(error) error) error {
	for pause := minRetryPause; ; pause = min(2*pause, maxRetryPause) {
		link, err := prepare()
		if err == nil {
			err = s.attempt(ctx, link, entries)
		}
		if err == nil {
			return nil
		}
		if stop := failed(err); stop != nil {
			return stop
		}
		if natsconn.Sleep(ctx, pause); ctx.Err() != nil {
			return fmt.Errorf("not acknowledged in time by %s (%w): %w", s.Conn.Where(), context.Cause(ctx), err)
		}
	}
}

// attempt publishes what is not acknowledged yet, in order, and collects the
// acknowledgements. It returns a final error if there was one, else the first.
func (s *Sender) attempt(ctx context.Context, link *natsconn.Link, entries []Entry) error {
	first := s.sendAll(ctx, link, entries)
	for i := range entries {
		e := &entries[i]
		if e.future == nil {
			continue
		}
		err := e.await(ctx)
		switch {
		case err == nil && s.Acknowledged != nil:
			s.Acknowledged()
		case err != nil && (first == nil || IsFinal(err) && !IsFinal(first)):
			first = err
		}
	}
	if errors.Is(first, jetstream.ErrNoStreamResponse) {
		s.Conn.Wake() // the stream may have been deleted: then it is created again
	}
	return first
}

// sendAll stops at the first entry that cannot be sent, so that they keep their order.
func (s *Sender) sendAll(ctx context.Context, link *natsconn.Link, entries []Entry) error {
	for i := range entries {
		if entries[i].Outcome != schema.Failed {
			continue
		}
		// A send blocks while the client reconnects, whatever ctx says.
		if !s.Conn.Online() {
			return nats.ErrDisconnected
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := entries[i].send(link.JS); err != nil {
			return err
		}
	}
	return nil
}

// noStream is the name of no stream: names of streams have no dots.
const noStream = "no.stream"

// Probe sends a message as events are sent, under a condition that no stream meets.
// Nothing is stored, but the server that would store it has to respond. So it finds what
// a request about the stream does not, such as a permission that was taken away.
// Subscribers outside of JetStream see the message, which is empty.
func (s *Streams) Probe(ctx context.Context, conn *natsconn.Conn) error {
	link, err := conn.Link()
	if err != nil {
		return err
	}
	m := nats.NewMsg(s.Root + ".ready._._._")
	m.Header.Set(jetstream.ExpectedStreamHeader, noStream)
	_, err = link.JS.PublishMsg(ctx, m, once...)
	if errorCode(err) == errCodeOtherStream {
		return nil
	}
	return fmt.Errorf("stream %s does not answer what is published on %s (%w%s): see that this user may publish there",
		s.Stream, s.Subjects(Events)[0], err, conn.Reports.Report())
}
