package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Variables of the OpenTelemetry SDK that a login in GATEWAY_OTLP_ENDPOINT would
// silently take the place of.
const (
	otlpHeaders       = "OTEL_EXPORTER_OTLP_HEADERS"
	otlpTracesHeaders = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
)

const (
	// tracesPath is where a collector takes traces (OTLP over HTTP).
	tracesPath = "/v1/traces"
	// flushTimeout bounds how long the end waits for the collector to take the last
	// spans.
	flushTimeout = 3 * time.Second
	// sdkLogFirst and sdkLogInterval bound the lines about what the SDK reports by
	// itself: some at the start, about its variables, and then one in a minute.
	sdkLogFirst    = 5
	sdkLogInterval = time.Minute

	serviceName = "postback-gateway"
	tracerName  = "github.com/postback-gateway/gateway"
)

// startTracing makes the tracer where there is a collector to send to. Spans wait
// for it in a bounded queue that drops what it has no room for, so a collector
// that is away delays nothing. What can be set beside its address are the SDK's own
// variables (OTEL_…).
func (g *gateway) startTracing(ctx context.Context) error {
	if !g.settings.OTLPEndpoint.set() {
		return nil
	}
	endpoint, err := url.Parse(g.settings.OTLPEndpoint.reveal())
	if err != nil {
		return fmt.Errorf("GATEWAY_OTLP_ENDPOINT is no URL: %s", g.settings.OTLPEndpoint) // was checked; err would show it
	}
	hearSDK(g.log)
	exporter, err := otlptracehttp.New(ctx, collectorOptions(endpoint)...)
	if err != nil {
		return fmt.Errorf("GATEWAY_OTLP_ENDPOINT: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&watchedExporter{SpanExporter: exporter, log: g.log}),
		sdktrace.WithResource(describeService(ctx)),
	)
	g.tracer = provider.Tracer(tracerName, trace.WithInstrumentationVersion(buildVersion()), trace.WithSchemaURL(semconv.SchemaURL))
	g.onStop("tracing", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			// No delivery depends on it, so it does not make the end a failure.
			g.log.Warn("the last spans were not taken by the collector", "error", err)
		}
		return nil
	})
	return nil
}

// collectorOptions sends the login of the URL as a header. The exporter would drop it,
// and what it says in errors is the URL without it.
func collectorOptions(endpoint *url.URL) []otlptracehttp.Option {
	u := *endpoint
	var options []otlptracehttp.Option
	if u.User != nil {
		password, _ := u.User.Password()
		login := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		options = append(options, otlptracehttp.WithHeaders(map[string]string{"Authorization": "Basic " + login}))
		u.User = nil
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	return append(options, otlptracehttp.WithEndpointURL(u.String()))
}

// describeService returns what stands beside all spans. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES take precedence.
func describeService(ctx context.Context) *resource.Resource {
	// What cannot be read of the variables the SDK reports itself, because it reads
	// them once more; the rest is used.
	described, _ := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(serviceName), semconv.ServiceVersion(buildVersion())),
		resource.WithFromEnv(),
	)
	return described
}

// watchedExporter tells the log when the collector begins to refuse and when it
// takes spans again. The SDK would report every batch.
type watchedExporter struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	away atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *watchedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch was := e.away.Swap(err != nil); {
	case err != nil && !was:
		// The error can hold all of the collector's answer.
		e.log.Warn("traces are not taken by the collector: spans are dropped until they are", "error", fmt.Sprintf("%.300s", err))
	case err == nil && was:
		e.log.Info("traces are taken by the collector again")
	}
	return nil
}

// hearSDK has the SDK report to the gateway's log instead of writing lines of its
// own form to standard error. The SDK knows only one of each for a process.
func hearSDK(log *slog.Logger) {
	otel.SetLogger(logr.New(sdkLog{log}))
	limit := rate.Sometimes{First: sdkLogFirst, Interval: sdkLogInterval}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		limit.Do(func() { log.Warn("OpenTelemetry reports an error", "error", err) })
	}))
}

// sdkLog takes what the SDK finds wrong with its variables. It leaves out the
// details, which show the values, headers with keys among them. It implements
// [logr.LogSink].
type sdkLog struct{ log *slog.Logger }

func (sdkLog) Init(logr.RuntimeInfo)    {}
func (sdkLog) Enabled(int) bool         { return false }
func (sdkLog) Info(int, string, ...any) {}

func (s sdkLog) Error(_ error, what string, _ ...any) {
	s.log.Warn("OpenTelemetry cannot use one of its variables (OTEL_…)", "step", what)
}

func (s sdkLog) WithValues(...any) logr.LogSink { return s }
func (s sdkLog) WithName(string) logr.LogSink   { return s }
