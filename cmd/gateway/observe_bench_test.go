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
// the log, and with its span. The differences are what these cost.
func BenchmarkObserved(b *testing.B) {
	quiet := logging.New(io.Discard, logging.Options{Level: "warn"})
	tracer := func(sampler sdktrace.Sampler) trace.Tracer {
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exportNothing{}), sdktrace.WithSampler(sampler))
		b.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
		return provider.Tracer("benchmark")
	}
	for _, test := range []struct {
		name   string
		log    *slog.Logger
		tracer trace.Tracer
	}{
		{"nothing", quiet, nil},
		{"line", logging.New(io.Discard, logging.Options{Level: "info"}), nil},
		{"span=sampled", quiet, tracer(sdktrace.AlwaysSample())},
		{"span=unsampled", quiet, tracer(sdktrace.NeverSample())},
	} {
		b.Run(test.name, func(b *testing.B) { benchmarkDelivery(b, test.log, test.tracer) })
	}
}

func benchmarkDelivery(b *testing.B, log *slog.Logger, tracer trace.Tracer) {
	server, err := ingest.New(ingest.Config{
		Secrets: ingest.Secrets{MetaAppSecrets: []string{"s"}, MetaVerifyToken: "v"}, MaxBodyBytes: 1 << 20, MaxInFlight: 8, PublishTimeout: time.Second, Tracer: tracer,
	}, storeNothing{}, log, prometheus.NewRegistry())
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
