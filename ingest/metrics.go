package ingest

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/schema"
)

// metrics are those of the public listener. The number of label values from outside is
// always limited.
type metrics struct {
	requests          *prometheus.CounterVec
	requestDuration   *prometheus.HistogramVec
	inFlight          prometheus.Gauge
	slotWaiting       prometheus.Gauge
	slotWait          prometheus.Histogram
	signatureFailures *prometheus.CounterVec
	signatureVerified *prometheus.CounterVec
	events            *prometheus.CounterVec
	clicks            *prometheus.CounterVec
	eventAge          *prometheus.HistogramVec
	lastEvent         *prometheus.GaugeVec

	prefixes, accounts *limitedLabel
}

func newMetrics(reg prometheus.Registerer, labelLimit int) *metrics {
	m := &metrics{
		requests: counter("gateway_http_requests_total",
			"Requests to the public listener, by handler and status code.", "handler", "code"),
		requestDuration: histogram("gateway_http_request_duration_seconds",
			"Time from the request's header to the answer.", prometheus.DefBuckets, "handler", "code"),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gateway_in_flight_requests", Help: "Deliveries being worked on now, from when their signature was verified."}),
		slotWaiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gateway_slot_waiting_requests", Help: "Deliveries that wait now because GATEWAY_MAX_IN_FLIGHT others are being worked on."}),
		slotWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gateway_slot_wait_seconds", Help: "How long deliveries waited for others to finish, if they had to.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5}}),
		signatureFailures: counter("gateway_signature_failures_total",
			"Requests refused because of their signature, by the reason.", "platform", "reason"),
		signatureVerified: counter("gateway_signature_verified_total",
			"Requests accepted, by the place of the secret in its list, from 1: an old secret may go when it is used no more.", "platform", "secret"),
		events: counter("gateway_events_total",
			"Parts of deliveries, by what became of them.", "platform", "kind", "outcome"),
		clicks: counter("gateway_clicks_total",
			"Events stored, by the prefix token of their subject.", "platform", "prefix"),
		eventAge: histogram("gateway_event_age_seconds",
			"Time from the platform's timestamp to the receipt.", []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 43200, 129600}, "platform"),
		lastEvent: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gateway_last_event_timestamp_seconds", Help: "When the last event of an account was received."}, []string{"platform", "account"}),
		prefixes: newLimitedLabel(labelLimit),
		accounts: newLimitedLabel(labelLimit),
	}
	reg.MustRegister(m.requests, m.requestDuration, m.inFlight, m.slotWaiting, m.slotWait, m.signatureFailures, m.signatureVerified,
		m.events, m.clicks, m.eventAge, m.lastEvent)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

func (m *metrics) countRequest(handler string, status int, duration time.Duration) {
	code := strconv.Itoa(status)
	m.requests.WithLabelValues(handler, code).Inc()
	m.requestDuration.WithLabelValues(handler, code).Observe(duration.Seconds())
}

// secretUses returns the counter of the requests accepted by the secret at a place,
// from 1.
func (m *metrics) secretUses(webhook string, place int) prometheus.Counter {
	return m.signatureVerified.WithLabelValues(webhook, strconv.Itoa(place))
}

func (m *metrics) deleteSecret(webhook string, place int) {
	m.signatureVerified.DeleteLabelValues(webhook, strconv.Itoa(place))
}

// kindNone is the kind of items that are not events.
const kindNone = "none"

func (m *metrics) countItems(d *delivery) {
	for i, outcome := range d.outcomes {
		item := &d.items[i]
		if item.Event == nil {
			m.events.WithLabelValues(item.Rejection.Platform, kindNone, string(outcome)).Inc()
			continue
		}
		data := &item.Event.Data
		m.events.WithLabelValues(data.Platform, kindLabel(data), string(outcome)).Inc()
		if outcome == schema.Stored {
			m.countStored(item)
		}
	}
	if d.storeErr != nil {
		return // the platform delivers the ignored items again
	}
	for platform, n := range d.ignored {
		m.events.WithLabelValues(platform, kindNone, "ignored").Add(float64(n))
	}
}

// kindLabel returns the kind, and "other" for an item that is not a click.
func kindLabel(d *schema.Data) string {
	if d.What != "" {
		return labelOther
	}
	return string(d.Kind)
}

func (m *metrics) countStored(item *schema.Item) {
	d := &item.Event.Data
	if d.What == "" {
		m.clicks.WithLabelValues(d.Platform, m.prefixes.limited(item.Route.Prefix)).Inc()
	}
	if !item.Undated {
		m.eventAge.WithLabelValues(d.Platform).Observe(max(0, d.ReceivedAt.Sub(item.Event.Time).Seconds()))
	}
	if d.Account.ID == "" {
		return
	}
	m.lastEvent.WithLabelValues(d.Platform, m.accounts.limited(d.Account.ID)).
		Set(float64(d.ReceivedAt.UnixMilli()) / float64(time.Second/time.Millisecond))
}

// limitedLabel replaces all but the first values of a label by "other", so that no
// caller can create any number of series.
type limitedLabel struct {
	limit int
	mu    sync.RWMutex
	known map[string]bool
}

const labelOther = "other"

func newLimitedLabel(limit int) *limitedLabel {
	return &limitedLabel{limit: limit, known: make(map[string]bool)}
}

func (l *limitedLabel) limited(value string) string {
	l.mu.RLock()
	known, full := l.known[value], len(l.known) >= l.limit
	l.mu.RUnlock()
	if known {
		return value
	}
	if full {
		return labelOther
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known[value] && len(l.known) >= l.limit {
		return labelOther
	}
	l.known[value] = true
	return value
}
