package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// GivenUp is an event that a consumer does not get any more: it was delivered as often as
// the consumer allows, or the consumer's program has terminated it.
type GivenUp struct {
	Consumer   string    `json:"consumer"`
	Sequence   uint64    `json:"stream_seq"` // of the event in its stream
	Deliveries uint64    `json:"deliveries"`
	Reason     string    `json:"reason,omitempty"` // that the program has given
	At         time.Time `json:"timestamp"`
}

// NewGivenUp decodes a message of the stream of given-up events.
func NewGivenUp(m *stream.Message) (GivenUp, error) {
	var g GivenUp
	if err := json.Unmarshal(m.Data, &g); err != nil {
		return g, fmt.Errorf("message %d on %s is not an advisory: %w", m.Sequence, m.Subject, err)
	}
	return g, nil
}

// givenUpPosition is how far the metric has counted.
type givenUpPosition struct {
	mu    sync.Mutex
	known bool
	next  uint64
}

// maxGivenUp bounds the requests for one sample; the next one goes on.
const maxGivenUp = 1000

// sampleGivenUp counts what consumers have given up since the last sample.
func (m *Monitor) sampleGivenUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
	defer cancel()
	link, err := m.Conn.Link()
	if err != nil {
		return err
	}
	name := m.Streams.Name(stream.GivenUp)
	s, err := link.JS.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	state, p := s.CachedInfo().State, &m.givenUp
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known || p.next > state.LastSeq+1 { // the first sample, or a new stream
		p.known, p.next = true, state.LastSeq+1
	}
	for range maxGivenUp {
		if p.next > state.LastSeq {
			return nil
		}
		found, err := stream.GetMessage(ctx, link.NC, name, stream.Query{Seq: p.next, Filter: ">"})
		if err != nil || found == nil {
			return err
		}
		p.next = found.Sequence + 1
		if g, err := NewGivenUp(found); err == nil {
			m.cfg.Servers.countGivenUp(g.Consumer)
		}
	}
	return nil
}

func (m *ServerMetrics) countGivenUp(consumer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.givenUpOf(consumer).Inc()
}

// givenUpOf returns the counter of a consumer; the first consumers have their own. The
// caller holds the lock.
func (m *ServerMetrics) givenUpOf(consumer string) prometheus.Counter {
	if !slices.Contains(m.gaveUp, consumer) {
		if len(m.gaveUp) >= consumerLimit {
			return m.givenUp.WithLabelValues(otherConsumers)
		}
		m.gaveUp = append(m.gaveUp, consumer)
	}
	return m.givenUp.WithLabelValues(consumer)
}
