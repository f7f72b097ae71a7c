package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/console"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/logging"
	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// storeNothing is a store that costs nothing.
type storeNothing struct{}

func (storeNothing) Publish(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
	return slices.Repeat([]schema.Outcome{schema.Stored}, len(items)), nil
}

// exportNothing takes spans, and drops them.
type exportNothing struct{}

func (exportNothing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (exportNothing) Shutdown(context.Context) error                             { return nil }

// BenchmarkObserved is a delivery without sockets and store: alone, with its line in
// the log, with its span, and with a console that nobody, or somebody, looks at. The
// differences are what these cost.
func BenchmarkObserved(b *testing.B) {
	quiet := logging.New(io.Discard, logging.Options{Level: "warn"})
	tracer := func(sampler sdktrace.Sampler) trace.Tracer {
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exportNothing{}), sdktrace.WithSampler(sampler))
		b.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
		return provider.Tracer("benchmark")
	}
	subjects := schema.Subjects{Root: "postback.v1"}
	watched := console.NewRing(subjects)
	b.Cleanup(watched.Watch())
	for _, test := range []struct {
		name string
		log  *slog.Logger
		cfg  ingest.Config
	}{
		{"nothing", quiet, ingest.Config{}},
		{"line", logging.New(io.Discard, logging.Options{Level: "info"}), ingest.Config{}},
		{"span=sampled", quiet, ingest.Config{Tracer: tracer(sdktrace.AlwaysSample())}},
		{"span=unsampled", quiet, ingest.Config{Tracer: tracer(sdktrace.NeverSample())}},
		{"console=unwatched", quiet, ingest.Config{Observer: console.NewRing(subjects)}},
		{"console=watched", quiet, ingest.Config{Observer: watched}},
	} {
		b.Run(test.name, func(b *testing.B) { benchmarkDelivery(b, test.log, test.cfg) })
	}
}

func benchmarkDelivery(b *testing.B, log *slog.Logger, cfg ingest.Config) {
	cfg.Secrets = ingest.Secrets{MetaAppSecrets: []string{"s"}, MetaVerifyToken: "v"}
	cfg.MaxBodyBytes, cfg.MaxInFlight, cfg.PublishTimeout = 1<<20, 8, time.Second
	server, err := ingest.New(cfg, storeNothing{}, log, prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	body := simulate.Messenger(simulate.Click{Account: "682498171943165", User: "1254459154682919", Title: "Enterprise", Payload: "show_plan:enterprise"})
	signature := simulate.Sign("s", body)
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
}
