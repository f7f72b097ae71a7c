package publish

import (
	"context"
	"maps"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The headers of W3C Trace Context. NATS does not change the case of a header's
// name, and consumers look for these.
const (
	traceParentHeader = "traceparent"
	traceStateHeader  = "tracestate"
)

// maxTraceState is the longest tracestate that is passed on, in bytes: W3C asks for
// this much. It comes from outside, and a message has to have room for it.
const maxTraceState = 512

// startSpan begins the span of storing n items. Without tracing the span is nil.
func (p *Publisher) startSpan(ctx context.Context, n int) (context.Context, trace.Span) {
	if p.cfg.Tracer == nil {
		return ctx, nil
	}
	return p.cfg.Tracer.Start(ctx, "publish "+p.cfg.Stream,
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"), // no value of the conventions' own list
			semconv.MessagingOperationName("publish"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(p.cfg.Stream),
			semconv.MessagingBatchMessageCount(n),
		))
}

// endSpan ends what startSpan has begun.
func endSpan(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(semconv.ErrorTypeOther)
	}
	span.End()
}

// traceHeaders pass the span that ctx holds on to who reads the messages. The same
// ones serve all messages of a delivery. They are nil without tracing.
type traceHeaders nats.Header

func (p *Publisher) traceHeaders(ctx context.Context) traceHeaders {
	if p.cfg.Tracer == nil {
		return nil
	}
	text := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, text)
	h := make(traceHeaders, len(text))
	for name, value := range text {
		if name != traceStateHeader || len(value) <= maxTraceState {
			h[name] = []string{value}
		}
	}
	return h
}

// traceHeadersOf returns those of a stored message.
func traceHeadersOf(stored nats.Header) traceHeaders {
	h := make(traceHeaders)
	for _, name := range []string{traceParentHeader, traceStateHeader} {
		if values := stored.Values(name); len(values) > 0 {
			h[name] = values
		}
	}
	return h
}

func (h traceHeaders) addTo(header nats.Header) { maps.Copy(header, nats.Header(h)) }

// room is what these of a message's headers take beyond what schema.Message.Size has room for, in
// bytes: that is a traceparent.
func (h traceHeaders) room() int {
	state := h[traceStateHeader]
	if len(state) == 0 {
		return 0
	}
	return len(traceStateHeader) + len(": ") + len(state[0]) + len("\r\n")
}
