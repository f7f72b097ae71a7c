package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
)

// Pauses between attempts. The first is short: most failures are a connection that is
// restored at once, or an id that another delivery is storing.
const (
	minRetryPause = 10 * time.Millisecond
	maxRetryPause = 250 * time.Millisecond
)

// Sender publishes entries in their order. It is safe for concurrent use.
type Sender struct {
	Conn *natsconn.Conn
	// AckTimeout is how long one attempt waits for its acknowledgements, while the server
	// does not acknowledge what was published before.
	AckTimeout time.Duration
	// Acknowledged, if not nil, is called for each acknowledgement.
	Acknowledged func()

	mu   sync.Mutex
	acks *acks // of the newest connection
}

// acksOf returns what receives the acknowledgements on a connection.
func (s *Sender) acksOf(link *natsconn.Link) (*acks, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.acks != nil && s.acks.nc == link.NC {
		return s.acks, nil
	}
	a, err := newAcks(link.NC)
	if err == nil {
		s.acks = a
	}
	return a, err
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
	if !s.Conn.Online() { // even a subscription blocks while the client reconnects
		return nats.ErrDisconnected
	}
	acks, err := s.acksOf(link)
	if err != nil {
		return publishError(err)
	}
	err = attemptOnce(ctx, s, acks, entries)
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		s.Conn.Wake() // the stream may have been deleted: then it is created again
	}
	return err
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
	_, err = link.JS.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if errorCode(err) == errCodeOtherStream {
		return nil
	}
	return fmt.Errorf("stream %s does not answer what is published on %s (%w%s): see that this user may publish there",
		s.Stream, s.Subjects(Events)[0], err, conn.Reports.Report())
}
