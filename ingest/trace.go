package ingest

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// startSpan begins the span of a delivery at the time at which the request came,
// and returns the context that passes it on. Its parent is what the request's
// traceparent names; one that is not well-formed is ignored.
func (s *Server) startSpan(r *http.Request, d *delivery) context.Context {
	if s.cfg.Tracer == nil {
		return r.Context()
	}
	route, _ := mux.CurrentRoute(r).GetPathTemplate() // every route has one
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, d.span = s.cfg.Tracer.Start(ctx, r.Method+" "+route,
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(d.began),
		trace.WithAttributes(
			semconv.HTTPRequestMethodPost,
			semconv.HTTPRoute(route),
			semconv.URLPath(r.URL.Path),
			semconv.URLScheme(schemeOf(r)),
			semconv.NetworkProtocolVersion(strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)),
		))
	return ctx
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// endSpan tells the trace what the log is told. err is what the delivery is
// answered with.
func (d *delivery) endSpan(err error) {
	if d.span == nil {
		return
	}
	defer d.span.End()
	if !d.span.IsRecording() {
		return
	}
	status, outcome := statusOf(err), d.outcome(err)
	account, _ := d.accounts()
	d.span.SetAttributes(
		semconv.HTTPResponseStatusCode(status),
		attribute.String("postback.outcome", outcome),
		attribute.String("postback.platform", d.namedPlatform()),
		attribute.String("postback.account", account),
		attribute.Int("postback.accepted", d.counts.accepted),
		attribute.Int("postback.duplicates", d.counts.duplicates),
		attribute.Int("postback.ignored", d.counts.ignored),
		attribute.Int("postback.rejected", d.counts.rejected),
	)
	if status >= http.StatusInternalServerError {
		d.span.SetStatus(codes.Error, outcome)
		d.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	}
}
