package tracing

import (
	"context"
	"encoding/base64"
	"errors"
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

const (
	// tracesPath is where a collector accepts traces.
	tracesPath = "/v1/traces"
	// flushTimeout bounds how long a stop waits for the collector.
	flushTimeout = 3 * time.Second
	// sdkLogFirst and sdkLogInterval limit the lines about errors of the SDK: some at the
	// start, about its variables, and then one in a minute.
	sdkLogFirst    = 5
	sdkLogInterval = time.Minute

	serviceName = "postback-gateway"
	tracerName  = "github.com/postback-gateway/gateway"
)

// Config is the collector and what the spans say of the gateway.
type Config struct {
	Endpoint string // may contain a login
	Version  string
}

// Start returns a tracer and what sends the last spans. Spans wait in a bounded queue
// and are dropped if it is full, so a collector that does not respond delays nothing.
// Everything else is set by the SDK's own variables (OTEL_…).
func Start(ctx context.Context, cfg Config, log *slog.Logger) (tracer trace.Tracer, stop func(context.Context) error, err error) {
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, nil, errors.New("is not a URL") // err would show a login
	}
	redirectSDKLog(log)
	exporter, err := otlptracehttp.New(ctx, exporterOptions(endpoint)...)
	if err != nil {
		return nil, nil, err
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&loggingExporter{SpanExporter: exporter, log: log}),
		sdktrace.WithResource(newResource(ctx, cfg.Version)),
	)
	stop = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			// No delivery depends on it, so the stop does not fail.
			log.Warn("could not send the last spans to the collector", "error", err)
		}
		return nil
	}
	return provider.Tracer(tracerName, trace.WithInstrumentationVersion(cfg.Version), trace.WithSchemaURL(semconv.SchemaURL)), stop, nil
}

// exporterOptions sends the login of the URL as a header. The exporter would drop it;
// its errors show the URL without it.
func exporterOptions(endpoint *url.URL) []otlptracehttp.Option {
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

// newResource describes the gateway. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
// take precedence.
func newResource(ctx context.Context, version string) *resource.Resource {
	// The SDK reads the variables again and reports its errors itself.
	described, _ := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(serviceName), semconv.ServiceVersion(version)),
		resource.WithFromEnv(),
	)
	return described
}

// loggingExporter logs when the collector begins to fail and when it works again. The
// SDK would log every batch.
type loggingExporter struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	failing atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *loggingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch before := e.failing.Swap(err != nil); {
	case err != nil && !before:
		// The error can contain the whole response.
		e.log.Warn("collector does not accept traces, dropping spans until it does", "error", fmt.Sprintf("%.300s", err))
	case err == nil && before:
		e.log.Info("collector accepts traces again")
	}
	return nil
}

// redirectSDKLog has the SDK write to the gateway's log instead of standard error. The
// SDK has one log for the whole process.
func redirectSDKLog(log *slog.Logger) {
	otel.SetLogger(logr.New(sdkLog{log}))
	limit := rate.Sometimes{First: sdkLogFirst, Interval: sdkLogInterval}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		limit.Do(func() { log.Warn("OpenTelemetry reports an error", "error", err) })
	}))
}

// sdkLog logs what is wrong with the SDK's variables without the details, which show
// their values, such as headers with keys. It implements [logr.LogSink].
type sdkLog struct{ log *slog.Logger }

func (sdkLog) Init(logr.RuntimeInfo)    {}
func (sdkLog) Enabled(int) bool         { return false }
func (sdkLog) Info(int, string, ...any) {}

func (s sdkLog) Error(_ error, what string, _ ...any) {
	s.log.Warn("OpenTelemetry cannot use one of its variables (OTEL_…)", "step", what)
}

func (s sdkLog) WithValues(...any) logr.LogSink { return s }
func (s sdkLog) WithName(string) logr.LogSink   { return s }
