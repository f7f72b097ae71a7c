package stream

import (
	"maps"

	"github.com/nats-io/nats.go"
)

// The headers of W3C Trace Context. NATS does not change the case of a header's name, and
// consumers expect these names.
const (
	traceParentHeader = "traceparent"
	traceStateHeader  = "tracestate"
)

// MaxTraceState is the longest tracestate that is passed on, in bytes: W3C asks for this
// much. It comes from outside, and a message needs room for it.
const MaxTraceState = 512

// TraceHeaders pass a span on to the consumers of a message. All messages of a delivery
// share them. They are nil without tracing.
type TraceHeaders nats.Header

// NewTraceHeaders returns headers for what a propagator has written.
func NewTraceHeaders(text map[string]string) TraceHeaders {
	h := make(TraceHeaders, len(text))
	for name, value := range text {
		if name != traceStateHeader || len(value) <= MaxTraceState {
			h[name] = []string{value}
		}
	}
	return h
}

// traceHeadersOf returns those of a stored message.
func traceHeadersOf(stored nats.Header) TraceHeaders {
	h := make(TraceHeaders)
	for _, name := range []string{traceParentHeader, traceStateHeader} {
		if values := stored.Values(name); len(values) > 0 {
			h[name] = values
		}
	}
	return h
}

// AddTo adds the headers to those of a message.
func (h TraceHeaders) AddTo(header nats.Header) { maps.Copy(header, nats.Header(h)) }

// Room is what the headers take beyond what schema.Message.Size has room for, in bytes:
// that is a traceparent.
func (h TraceHeaders) Room() int {
	state := h[traceStateHeader]
	if len(state) == 0 {
		return 0
	}
	return len(traceStateHeader) + len(": ") + len(state[0]) + len("\r\n")
}
