package publish

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/publish/stream"
)

// startSpan begins the span of storing n items. It needs a tracer.
func (c *Config) startSpan(ctx context.Context, n int) (context.Context, trace.Span) {
	return c.Tracer.Start(ctx, "publish "+c.Stream,
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"), // not a value of the conventions' own list
			semconv.MessagingOperationName("publish"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(c.Stream),
			semconv.MessagingBatchMessageCount(n),
		))
}

// endSpan ends the span of startSpan.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(semconv.ErrorTypeOther)
	}
	span.End()
}

// traceHeaders returns the headers that pass the span in ctx on to consumers.
func (c *Config) traceHeaders(ctx context.Context) stream.TraceHeaders {
	text := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, text)
	return stream.NewTraceHeaders(text)
}
