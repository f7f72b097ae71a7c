package monitor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// ConsumerState is how far a durable consumer of the events' stream is, for operators.
type ConsumerState struct {
	Name    string   `json:"name"`
	Filters []string `json:"filters"`
	// Pending is what it has still to acknowledge. Since is when the oldest of these
	// events was stored.
	Pending uint64    `json:"pending"`
	Since   time.Time `json:"since,omitzero"`

	AckPending    int       `json:"ack_pending"` // delivered and not acknowledged yet
	MaxAckPending int       `json:"max_ack_pending"`
	Redelivered   int       `json:"redelivered"`
	Waiting       int       `json:"waiting"` // requests for messages that wait for one
	LastDelivery  time.Time `json:"last_delivery,omitzero"`
	LastAck       time.Time `json:"last_ack,omitzero"`
	AckFloor      uint64    `json:"ack_floor"`
	Paused        bool      `json:"paused,omitempty"`
}

// ConsumerStates returns the state of each durable consumer of the events' stream. It
// costs a request for each filter of a consumer that is behind.
func (m *Monitor) ConsumerStates(ctx context.Context) ([]ConsumerState, error) {
	ctx, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
	defer cancel()
	s, err := m.eventStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", m.Streams.Stream, err)
	}
	all := []ConsumerState{}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable == "" {
			continue
		}
		lag, err := s.consumer(ctx, info)
		if err != nil {
			return nil, fmt.Errorf("consumer %s: %w", info.Name, err)
		}
		all = append(all, newConsumerState(info, lag))
	}
	return all, list.Err()
}

func newConsumerState(info *jetstream.ConsumerInfo, lag Consumer) ConsumerState {
	return ConsumerState{
		Name: info.Name, Filters: filters(&info.Config), Pending: lag.Pending, Since: lag.Since,
		AckPending: info.NumAckPending, MaxAckPending: info.Config.MaxAckPending, Redelivered: info.NumRedelivered, Waiting: info.NumWaiting,
		LastDelivery: timeOf(info.Delivered.Last), LastAck: timeOf(info.AckFloor.Last), AckFloor: info.AckFloor.Stream, Paused: info.Paused,
	}
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// GivenUpCounts returns how many events each consumer has given up, as far as the
// advisories are still stored.
func (m *Monitor) GivenUpCounts(ctx context.Context) (map[string]uint64, error) {
	counts := make(map[string]uint64)
	link, err := m.Conn.Link()
	if err != nil {
		return counts, err
	}
	name := m.Streams.Name(stream.GivenUp)
	s, err := link.JS.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return counts, nil // it is optional
	}
	if err != nil {
		return counts, fmt.Errorf("stream %s: %w", name, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return counts, fmt.Errorf("stream %s: %w", name, err)
	}
	for subject, n := range info.State.Subjects {
		counts[subject[strings.LastIndexByte(subject, '.')+1:]] += n
	}
	return counts, nil
}

// Unclaimed returns the subjects with an event since then that no consumer asks for.
func (m *Monitor) Unclaimed(ctx context.Context, since time.Time) ([]UnclaimedSubject, error) {
	link, err := m.Conn.Link()
	if err != nil {
		return nil, err
	}
	return Unclaimed(ctx, link, m.cfg.Streams, since)
}

// Snapshot returns the last snapshot.
func (m *Monitor) Snapshot() *Snapshot { return m.snapshot.Load() }
