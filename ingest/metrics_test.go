package ingest

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The limit for prefixes and accounts is 2 in these tests.
func TestMetrics(t *testing.T) {
	ts := newTestServer(t, nil)
	for _, payload := range []string{"one", "two", "three", "one"} {
		ts.post(t, []byte(strings.ReplaceAll(okPostback, "plan:pro", payload)), nil)
	}
	ts.post(t, []byte(amongGood("5")), nil)
	ts.post(t, []byte("{}"), nil)
	ts.post(t, []byte("{}"), map[string]string{headerSignature: ""})
	const want = `
# HELP gateway_clicks_total Events stored, by the prefix token of their subject.
# TYPE gateway_clicks_total counter
gateway_clicks_total{platform="messenger",prefix="one"} 2
gateway_clicks_total{platform="messenger",prefix="other"} 3
gateway_clicks_total{platform="messenger",prefix="two"} 1
# HELP gateway_events_total Parts of deliveries, by what became of them.
# TYPE gateway_events_total counter
gateway_events_total{kind="button",outcome="stored",platform="messenger"} 6
gateway_events_total{kind="none",outcome="ignored",platform="meta"} 1
gateway_events_total{kind="none",outcome="rejected",platform="messenger"} 1
# HELP gateway_http_requests_total Requests to the public listener, by handler and status code.
# TYPE gateway_http_requests_total counter
gateway_http_requests_total{code="200",handler="meta"} 6
gateway_http_requests_total{code="401",handler="meta"} 1
# HELP gateway_last_event_timestamp_seconds When the last event of an account was received.
# TYPE gateway_last_event_timestamp_seconds gauge
gateway_last_event_timestamp_seconds{account="1",platform="messenger"} 1.795248000123e+09
# HELP gateway_signature_verified_total Requests accepted, by the place of the secret in its list, from 1: an old secret may go when it is used no more.
# TYPE gateway_signature_verified_total counter
gateway_signature_verified_total{platform="meta",secret="1"} 0
gateway_signature_verified_total{platform="meta",secret="2"} 6
gateway_signature_verified_total{platform="telegram",secret="1"} 0
gateway_signature_verified_total{platform="telegram",secret="2"} 0
gateway_signature_verified_total{platform="telegram",secret="3"} 0
`
	err := testutil.GatherAndCompare(ts.reg, strings.NewReader(want), "gateway_clicks_total", "gateway_events_total",
		"gateway_http_requests_total", "gateway_last_event_timestamp_seconds", "gateway_signature_verified_total")
	if err != nil {
		t.Error(err)
	}
}
