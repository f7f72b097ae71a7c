package ingest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/schema"
)

// TestPanic: after a panic one delivery is repeated. Its connection stays open, and later
// deliveries are not affected.
func TestPanic(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.MaxInFlight = 1 })
	large := []byte(strings.TrimSuffix(okPostback, "}") + strings.Repeat(" ", 2*firstRead) + "}")
	for _, test := range []struct {
		handler string
		post    func() answer
	}{
		{"meta", func() answer { return ts.post(t, large, nil) }},
		{"telegram", func() answer { return ts.update(t, testBot, []byte(okUpdate), nil) }},
	} {
		t.Run(test.handler, func(t *testing.T) {
			want200 := func() {
				t.Helper()
				if a := test.post(); a.status != 200 {
					t.Fatalf("got %d %s", a.status, a.body)
				}
			}
			want200()
			for range 3 { // each would keep the only slot
				ts.log.Reset()
				ts.pub.publish = func(context.Context, []schema.Item) ([]schema.Outcome, error) { panic("a fault in the store") }
				a := test.post()
				a.check(t, 503, errInternal.Detail)
				if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "fault") {
					t.Errorf("got %v %s", a.header, a.body)
				}
				if text := ts.log.String(); !strings.Contains(text, `"level":"ERROR"`) || !strings.Contains(text, `"panic":"a fault in the store"`) ||
					!strings.Contains(text, "panic_test.go") || !strings.Contains(text, `"outcome":"failed"`) {
					t.Errorf("log: %s", text)
				}
				ts.pub.publish = nil
				want200()
			}
			if n := testutil.ToFloat64(ts.metrics.requests.WithLabelValues(test.handler, "503")); n != 3 {
				t.Errorf("%v requests counted with 503, expected 3", n)
			}
			if read, decoded := ts.readMemory.Load(), ts.decodeMemory.Load(); read != 0 || decoded != 0 || testutil.ToFloat64(ts.metrics.inFlight) != 0 {
				t.Errorf("still charged: %d bytes read, %d decoded", read, decoded)
			}
		})
	}
}

// panickyHandler is a log that panics, outside of a delivery.
type panickyHandler struct{ slog.Handler }

func (h panickyHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelError {
		return h.Handler.Handle(ctx, r)
	}
	panic("a fault in the log")
}

// TestPanicOnEveryRoute: a panic outside of a delivery, and on a connection that is used
// again.
func TestPanicOnEveryRoute(t *testing.T) {
	ts := newTestServer(t, nil)
	var log bytes.Buffer
	ts.Server.log = slog.New(panickyHandler{slog.NewTextHandler(&log, nil)})
	handshake := "/webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=" + testToken
	r, err := http.NewRequest(http.MethodGet, ts.url+handshake, nil)
	if err != nil {
		t.Fatal(err)
	}
	connection := dialRaw(t, ts.url, []byte("GET "+handshake+" HTTP/1.1\r\nHost: gateway\r\n\r\n"))
	for range 2 {
		if status, err := connection.do(); err != nil || status != "503" {
			t.Fatalf("got %s, %v", status, err)
		}
	}
	ts.do(t, r).check(t, 503, errInternal.Detail)
	if !strings.Contains(log.String(), "a fault in the log") || !strings.Contains(log.String(), "meta_handshake") {
		t.Errorf("log: %s", log.String())
	}
}
