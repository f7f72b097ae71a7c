package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// storeInterval is how often the metrics of the stream, of its consumers and of
// the disk are brought up to date. It costs two requests, and one more for each
// filter of a durable consumer behind which something was stored.
const storeInterval = 10 * time.Second

// watchStore keeps the metrics of the store until ctx ends. While the store does not
// answer they stay as they were; that it does not is for Ready to say.
func (p *Publisher) watchStore(ctx context.Context) {
	p.every(ctx, storeInterval, "the metrics of the store stay as they are", p.measureStore)
}

// measureStore brings the metrics up to date, once. What can be measured is, also
// where the rest fails.
func (p *Publisher) measureStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	return errors.Join(p.measureDisk(), p.measureStream(ctx))
}

func (p *Publisher) measureDisk() error {
	if p.cfg.DataDir == "" {
		return nil
	}
	free, size, err := diskSpace(p.cfg.DataDir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", p.cfg.DataDir, err)
	}
	p.metrics.diskFree.Set(float64(free))
	p.metrics.diskSize.Set(float64(size))
	return nil
}

func (p *Publisher) measureStream(ctx context.Context) error {
	s, err := p.look(ctx)
	if err != nil {
		return fmt.Errorf("stream %s: %w", p.cfg.Stream, err)
	}
	p.metrics.streamEvents.Set(float64(s.state.Msgs))
	p.metrics.streamBytes.Set(float64(s.state.Bytes))
	p.metrics.streamLimit.Set(float64(s.limit()))
	wants, err := p.wants(ctx, s)
	if err != nil {
		return fmt.Errorf("consumers of stream %s: %w", p.cfg.Stream, err)
	}
	p.metrics.streamHeld.Set(p.held(s, wants))
	if !p.cfg.Relayed { // else consumers are where the events are relayed to
		p.metrics.consumers.set(wants, time.Now())
	}
	return nil
}

// limit returns the bytes at which the stream refuses, 0 where it has no such bound:
// one that drops its oldest events is never full.
func (s *kept) limit() int64 {
	if s.config.Discard != jetstream.DiscardNew {
		return 0
	}
	return max(0, s.config.MaxBytes)
}

// held returns how many bytes of the stream the retention cannot purge, judged by
// the events' mean size as it does. Without a retention those are all.
func (p *Publisher) held(s *kept, wants []want) float64 {
	bytes, span := float64(s.state.Bytes), float64(s.state.LastSeq)+1-float64(s.state.FirstSeq)
	if p.keeper == nil || s.config.Retention != jetstream.LimitsPolicy || span <= 0 {
		return bytes
	}
	first := min(max(s.firstWanted(wants).first, s.state.FirstSeq), s.state.LastSeq+1)
	return bytes * float64(s.state.LastSeq+1-first) / span
}

// consumerLimit is how many durable consumers get series of their own: whoever may
// create consumers must not be able to create series without bound.
const consumerLimit = 100

// consumerOther is the label of all further ones together.
const consumerOther = "other"

// consumerGauges show what durable consumers have still to acknowledge. They are safe
// for concurrent use.
type consumerGauges struct {
	pending, lag *prometheus.GaugeVec

	mu    sync.Mutex
	shown []string // consumers that have series now
}

func newConsumerGauges() *consumerGauges {
	return &consumerGauges{
		pending: consumerGauge("gateway_consumer_pending_events", "Events that a durable consumer has still to acknowledge."),
		lag:     consumerGauge("gateway_consumer_lag_seconds", "Time since the oldest of them was stored."),
	}
}

func consumerGauge(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"consumer"})
}

// set shows what was found and forgets the consumers that are gone.
func (g *consumerGauges) set(wants []want, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sums := sumUp(wants, now)
	var shown []string
	for name, sum := range sums {
		g.pending.WithLabelValues(name).Set(float64(sum.events))
		g.lag.WithLabelValues(name).Set(sum.lag.Seconds())
		shown = append(shown, name)
	}
	for _, name := range g.shown {
		if _, found := sums[name]; !found {
			g.pending.DeleteLabelValues(name)
			g.lag.DeleteLabelValues(name)
		}
	}
	g.shown = shown
}

// behind is how far consumers are behind.
type behind struct {
	events uint64
	lag    time.Duration // 0 where there is nothing to acknowledge
}

// sumUp returns that by label: the first consumers by their name, so that each one
// keeps its series from one time to the next, and the others together.
func sumUp(wants []want, now time.Time) map[string]behind {
	slices.SortFunc(wants, func(a, b want) int { return cmp.Compare(a.consumer, b.consumer) })
	sums := make(map[string]behind)
	for i, w := range wants {
		name := w.consumer
		if i >= consumerLimit {
			name = consumerOther
		}
		sum := sums[name]
		sum.events += w.events
		if !w.since.IsZero() {
			sum.lag = max(sum.lag, now.Sub(w.since))
		}
		sums[name] = sum
	}
	return sums
}
