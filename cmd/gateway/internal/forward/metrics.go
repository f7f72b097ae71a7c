package forward

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/schema"
)

// The outcomes of gateway_forwarded_deliveries_total.
const (
	outcomeForwarded = "forwarded" // the bot answered 2xx
	outcomeFailed    = "failed"    // one attempt, which is repeated
	outcomeGivenUp   = "given_up"  // it is a dead letter now
)

// Metrics describe what is forwarded. They are registered without a target too, so that a
// dashboard finds every series.
type Metrics struct {
	deliveries   *prometheus.CounterVec
	pending, lag *prometheus.GaugeVec
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer, targets []Target) (*Metrics, error) {
	m := &Metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_forwarded_deliveries_total",
			Help: "Attempts to forward a delivery to an existing bot (forwarded, failed), and deliveries that became dead letters (given_up).",
		}, []string{"webhook", "outcome"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gateway_forward_pending_deliveries", Help: "Deliveries that wait to be forwarded.",
		}, []string{"webhook"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gateway_forward_lag_seconds", Help: "Time since the oldest of them was stored.",
		}, []string{"webhook"}),
	}
	if len(targets) == 0 {
		targets = []Target{{Webhook: schema.UnknownPlatform}}
	}
	for _, t := range targets {
		m.of(t.Name())
	}
	return m, errors.Join(reg.Register(m.deliveries), reg.Register(m.pending), reg.Register(m.lag))
}

// targetMetrics are those of one target.
type targetMetrics struct {
	forwarded, failed, givenUp prometheus.Counter
	pending, lag               prometheus.Gauge
}

func (m *Metrics) of(name string) targetMetrics {
	return targetMetrics{
		forwarded: m.deliveries.WithLabelValues(name, outcomeForwarded),
		failed:    m.deliveries.WithLabelValues(name, outcomeFailed),
		givenUp:   m.deliveries.WithLabelValues(name, outcomeGivenUp),
		pending:   m.pending.WithLabelValues(name),
		lag:       m.lag.WithLabelValues(name),
	}
}
