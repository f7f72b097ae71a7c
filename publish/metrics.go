package publish

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/schema"
)

// metrics describe deliveries and what they are stored in. Those of modes that are not in
// use are registered too, so that a dashboard finds every series.
type metrics struct {
	publish      prometheus.Histogram
	deadLetters  *prometheus.CounterVec
	syncDuration prometheus.Histogram
	syncBatch    prometheus.Histogram
	store        *monitor.StoreMetrics
}

// durationBuckets reach from one acknowledgement in the same process to a store that is
// about to be given up, in seconds.
var durationBuckets = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5,
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		publish: histogram("gateway_publish_duration_seconds", "Time until the events of one delivery are stored, or given up.", durationBuckets),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_deadletters_total", Help: "Dead letters stored, by reason.",
		}, []string{"reason"}),
		syncDuration: histogram("gateway_sync_duration_seconds", "Time of one sync of the data directory to disk.", durationBuckets),
		syncBatch:    histogram("gateway_sync_batch_size", "Deliveries that one sync served.", prometheus.ExponentialBuckets(1, 2, 11)),
	}
	for _, reason := range []schema.Reason{schema.ReasonNotJSON, schema.ReasonMalformed, schema.ReasonTooLarge, schema.ReasonNotRelayed, schema.ReasonNotForwarded} {
		m.deadLetters.WithLabelValues(string(reason))
	}
	var err error
	m.store, err = monitor.NewStoreMetrics(reg)
	return m, errors.Join(err, monitor.Register(reg, m.publish, m.deadLetters, m.syncDuration, m.syncBatch))
}

func (m *metrics) observeSync(took time.Duration, served int) {
	m.syncDuration.Observe(took.Seconds())
	m.syncBatch.Observe(float64(served))
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}
