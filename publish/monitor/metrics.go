package monitor

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/natsconn"
)

// StoreMetrics describe what deliveries are stored in: the events' stream, and the disk of
// the data directory. In relay mode that is the stream on this machine.
type StoreMetrics struct {
	events, bytes, held, limit prometheus.Gauge
	diskFree, diskSize         prometheus.Gauge
}

// NewStoreMetrics registers the metrics with reg. A nil reg registers nothing.
func NewStoreMetrics(reg prometheus.Registerer) (*StoreMetrics, error) {
	m := &StoreMetrics{
		events:   gauge("gateway_stream_events", "Events that the stream holds."),
		bytes:    gauge("gateway_stream_bytes", "Bytes that the stream holds."),
		held:     gauge("gateway_stream_held_bytes", "The part of them that is not purged to make room."),
		limit:    gauge("gateway_stream_limit_bytes", "Bytes at which the stream refuses further events; 0 where it does not."),
		diskFree: gauge("gateway_disk_free_bytes", "Bytes that are free on the disk of the data directory; 0 where there is none."),
		diskSize: gauge("gateway_disk_size_bytes", "Size of that disk; 0 where there is no data directory."),
	}
	return m, Register(reg, m.events, m.bytes, m.held, m.limit, m.diskFree, m.diskSize)
}

// set updates what the snapshot has. What could not be read stays as it was.
func (m *StoreMetrics) set(s *Snapshot) {
	if s.Disk.Size > 0 {
		m.diskFree.Set(float64(s.Disk.Free))
		m.diskSize.Set(float64(s.Disk.Size))
	}
	if s.Events == nil {
		return
	}
	m.events.Set(float64(s.Events.State.Msgs))
	m.bytes.Set(float64(s.Events.State.Bytes))
	if s.Events.Config.Discard == jetstream.DiscardNew { // else it drops its oldest and is never full
		m.limit.Set(float64(max(0, s.Events.Config.MaxBytes)))
	} else {
		m.limit.Set(0)
	}
}

// ServerMetrics describe the servers that consumers read from: the connection to them,
// and the consumers. In relay mode that is the cluster.
type ServerMetrics struct {
	natsconn.Metrics
	unclaimed    prometheus.Gauge
	pending, lag *prometheus.GaugeVec
	givenUp      *prometheus.CounterVec

	mu     sync.Mutex
	shown  []string // consumers that have series now
	gaveUp []string // consumers that have a counter
}

// NewServerMetrics registers the metrics with reg. A nil reg registers nothing.
func NewServerMetrics(reg prometheus.Registerer) (*ServerMetrics, error) {
	m := &ServerMetrics{
		Metrics: natsconn.Metrics{
			Connected: gauge("gateway_nats_connected", "1 while the gateway is connected to NATS, else 0."),
			Reconnects: prometheus.NewCounter(prometheus.CounterOpts{
				Name: "gateway_nats_reconnects_total", Help: "Connections to NATS that were lost and restored.",
			}),
		},
		unclaimed: gauge("gateway_unclaimed_subjects", "Subjects of stored events that no consumer asks for."),
		pending:   consumerGauge("gateway_consumer_pending_events", "Events that a durable consumer has still to acknowledge."),
		lag:       consumerGauge("gateway_consumer_lag_seconds", "Time since the oldest of them was stored."),
	}
	m.givenUp = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gateway_consumer_given_up_total", Help: "Events that a consumer has given up: delivered as often as it allows, or terminated.",
	}, []string{"consumer"})
	return m, Register(reg, m.Connected, m.Reconnects, m.unclaimed, m.pending, m.lag, m.givenUp)
}

// Register registers all collectors; the error says which of them were there already. A
// nil reg registers nothing.
func Register(reg prometheus.Registerer, all ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}

// consumerLimit is how many durable consumers get series of their own: whoever may create
// consumers must not be able to create series without bound.
const consumerLimit = 100

// otherConsumers is the label of all further ones together.
const otherConsumers = "other"

// setConsumers updates the series and removes those of consumers that are gone.
func (m *ServerMetrics) setConsumers(consumers []Consumer, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sums := sumUp(consumers, now)
	var shown []string
	for name, sum := range sums {
		m.pending.WithLabelValues(name).Set(float64(sum.events))
		m.lag.WithLabelValues(name).Set(sum.lag.Seconds())
		m.givenUpOf(name) // from 0 on: increase() does not see a series that begins with 1
		shown = append(shown, name)
	}
	for _, name := range m.shown {
		if _, found := sums[name]; !found {
			m.pending.DeleteLabelValues(name)
			m.lag.DeleteLabelValues(name)
		}
	}
	m.shown = shown
}

// consumerLag is how far consumers are behind.
type consumerLag struct {
	events uint64
	lag    time.Duration // 0 if there is nothing to acknowledge
}

// sumUp returns the lags by label: the first consumers by their name, so that each one
// keeps its series, and the others together.
func sumUp(consumers []Consumer, now time.Time) map[string]consumerLag {
	slices.SortFunc(consumers, func(a, b Consumer) int { return cmp.Compare(a.Name, b.Name) })
	sums := make(map[string]consumerLag)
	for i, c := range consumers {
		name := c.Name
		if i >= consumerLimit {
			name = otherConsumers
		}
		sum := sums[name]
		sum.events += c.Pending
		if !c.Since.IsZero() {
			sum.lag = max(sum.lag, now.Sub(c.Since))
		}
		sums[name] = sum
	}
	return sums
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func consumerGauge(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"consumer"})
}
