package ingest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// BenchmarkDelivery measures a delivery without sockets and store: what the gateway
// itself adds. cmd/gateway has a benchmark of everything.
func BenchmarkDelivery(b *testing.B) {
	for name, events := range map[string]int{"events=1": 1, "events=20": 20} {
		b.Run(name, func(b *testing.B) {
			server, err := New(testConfig(), &fakePublisher{publish: encodeOnly}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				b.Fatal(err)
			}
			clicks := make([]simulate.Click, events)
			for i := range clicks {
				clicks[i] = simulate.Click{Account: "682498171943165", User: "1254459154682919", Title: "Enterprise", Payload: "show_plan:enterprise"}
			}
			body := simulate.Messenger(clicks...)
			signature := simulate.Sign(testSecret, body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/webhooks/meta", bytes.NewReader(body))
				r.Header.Set("X-Hub-Signature-256", signature)
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

// BenchmarkLine measures only the log line of a delivery.
func BenchmarkLine(b *testing.B) {
	for name, handler := range map[string]slog.Handler{
		"off": slog.DiscardHandler, "json": slog.NewJSONHandler(io.Discard, nil), "text": slog.NewTextHandler(io.Discard, nil),
	} {
		b.Run(name, func(b *testing.B) {
			server, err := New(testConfig(), &fakePublisher{}, slog.New(handler), prometheus.NewRegistry())
			if err != nil {
				b.Fatal(err)
			}
			d := &delivery{received: time.Now(), hook: server.hooks[labelTelegram], batch: batch{account: testBot}, counts: counts{accepted: 1}}
			b.ReportAllocs()
			for b.Loop() {
				server.logDelivery(b.Context(), d, nil)
			}
		})
	}
}

func encodeOnly(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
	outcomes := make([]schema.Outcome, len(items))
	for i := range items {
		if _, err := items[i].Message(schema.Subjects{Root: schema.DefaultRoot}, 1<<20); err != nil {
			return nil, err
		}
		outcomes[i] = schema.Stored
	}
	return outcomes, nil
}
