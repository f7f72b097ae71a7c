package publish

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/schema"
)

// metrics are all that the storing side of the gateway shows, those of modes
// that are not in use included, so that a dashboard finds every series.
type metrics struct {
	publish     prometheus.Histogram
	deadLetters *prometheus.CounterVec
	connection
	cluster connection // of the relay; connection is unseen then

	syncDuration prometheus.Histogram
	syncBatch    prometheus.Histogram
	relayPending prometheus.Gauge
	relayLag     prometheus.Gauge
	relayed      prometheus.Counter
	unclaimed    prometheus.Gauge
	store
	consumers *consumerGauges
}

// store is what is shown of what deliveries are stored in: the events' stream, and
// the disk of the data directory. In relay mode that is the stream on this machine.
type store struct {
	streamEvents, streamBytes, streamHeld, streamLimit prometheus.Gauge

	diskFree, diskSize prometheus.Gauge
}

func newStore() store {
	return store{
		streamEvents: gauge("gateway_stream_events", "Events that the stream holds."),
		streamBytes:  gauge("gateway_stream_bytes", "Bytes that the stream holds."),
		streamHeld:   gauge("gateway_stream_held_bytes", "The part of them that is not purged to make room."),
		streamLimit:  gauge("gateway_stream_limit_bytes", "Bytes at which the stream refuses further events; 0 where it does not."),
		diskFree:     gauge("gateway_disk_free_bytes", "Bytes that are free on the disk of the data directory; 0 where there is none."),
		diskSize:     gauge("gateway_disk_size_bytes", "Size of that disk; 0 where there is no data directory."),
	}
}

// connection is what is shown of a connection to NATS. In relay mode it is the
// one to the cluster: that inside the process tells an operator nothing.
type connection struct {
	connected  prometheus.Gauge
	reconnects prometheus.Counter
}

func newConnection() connection {
	return connection{
		connected:  gauge("gateway_nats_connected", "1 while the gateway is connected to NATS, else 0."),
		reconnects: counter("gateway_nats_reconnects_total", "Connections to NATS that were lost and restored."),
	}
}

// durationBuckets span one acknowledgement in the same process to a store that
// is about to be given up, in seconds.
var durationBuckets = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5,
}

// newMetrics registers everything with reg; the error says what of it was there
// already. A nil reg registers nothing.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		publish:    histogram("gateway_publish_duration_seconds", "Time until the events of one delivery are stored, or given up.", durationBuckets),
		connection: newConnection(),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_deadletters_total", Help: "Dead letters stored, by reason.",
		}, []string{"reason"}),
		syncDuration: histogram("gateway_sync_duration_seconds", "Time of one sync of the data directory to disk.", durationBuckets),
		syncBatch:    histogram("gateway_sync_batch_size", "Deliveries that one sync served.", prometheus.ExponentialBuckets(1, 2, 11)),
		relayPending: gauge("gateway_relay_pending_events", "Events and dead letters that wait to be relayed."),
		relayLag:     gauge("gateway_relay_lag_seconds", "Time since the oldest of them was stored."),
		relayed:      counter("gateway_relayed_events_total", "Events and dead letters that were relayed."),
		unclaimed:    gauge("gateway_unclaimed_subjects", "Subjects of stored events that no consumer asks for."),
		store:        newStore(),
		consumers:    newConsumerGauges(),
	}
	for _, reason := range []schema.Reason{schema.ReasonNotJSON, schema.ReasonMalformed, schema.ReasonTooLarge, schema.ReasonNotRelayed} {
		m.deadLetters.WithLabelValues(string(reason))
	}
	return m, m.register(reg)
}

func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.publish, m.connected, m.reconnects, m.deadLetters,
		m.syncDuration, m.syncBatch, m.relayPending, m.relayLag, m.relayed, m.unclaimed,
		m.streamEvents, m.streamBytes, m.streamHeld, m.streamLimit, m.diskFree, m.diskSize,
		m.consumers.pending, m.consumers.lag,
	} {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}

func (m *metrics) observeSync(took time.Duration, served int) {
	m.syncDuration.Observe(took.Seconds())
	m.syncBatch.Observe(float64(served))
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}
