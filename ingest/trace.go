package ingest

import (
	"context"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// startSpan starts the span of a delivery at the time when the request was received, and
// returns the context with it. The parent is the span in the request's traceparent; a
// malformed one is ignored.
func (s *Server) startSpan(r *request, d *delivery) context.Context {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, d.span = s.cfg.Tracer.Start(ctx, r.Method+" "+d.hook.path,
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(d.received),
		trace.WithAttributes(
			semconv.HTTPRequestMethodPost,
			semconv.HTTPRoute(d.hook.path),
			semconv.URLPath(r.URL.Path),
			semconv.URLScheme(schemeOf(r)),
			semconv.NetworkProtocolVersion(strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)),
		))
	return ctx
}

func schemeOf(r *request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// endSpan adds the attributes that the log line has, and ends the span. err is what the
// delivery is answered with.
func (d *delivery) endSpan(err error) {
	defer d.span.End()
	if !d.span.IsRecording() {
		return
	}
	status, outcome := statusOf(err), d.outcome(err)
	account, _ := d.accounts()
	d.span.SetAttributes(
		semconv.HTTPResponseStatusCode(status),
		attribute.String("postback.outcome", outcome),
		attribute.String("postback.platform", d.platform()),
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
