package publish_test

import (
	"context"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

const callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// tracedBy returns the context of a request with a tracestate of n bytes.
func tracedBy(t testing.TB, n int) context.Context {
	t.Helper()
	id, err := trace.TraceIDFromHex(callersTrace)
	if err != nil {
		t.Fatal(err)
	}
	var members []string
	for i := 0; n > 0; i++ {
		member := string(rune('a'+i)) + "="
		take := min(n, 250)
		members = append(members, member+strings.Repeat("x", take-len(member)))
		n -= take + len(",")
	}
	state, err := trace.ParseTraceState(strings.Join(members, ","))
	if err != nil {
		t.Fatal(err)
	}
	return trace.ContextWithRemoteSpanContext(withDeadline(t, 30*time.Second), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
	}))
}

func tracedConfig(t testing.TB) Config {
	cfg := embeddedConfig(t)
	cfg.Tracer = sdktrace.NewTracerProvider().Tracer("test")
	return cfg
}

// TestTraceState: what comes from outside is passed on up to a length, and the
// trace itself in any case.
func TestTraceState(t *testing.T) {
	cfg := tracedConfig(t)
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	for i, test := range []struct{ sent, passed int }{{0, 0}, {100, 100}, {stream.MaxTraceState, stream.MaxTraceState}, {stream.MaxTraceState + 1, 0}, {5000, 0}} {
		if _, err := p.Publish(tracedBy(t, test.sent), []schema.Item{click("m-"+strings.Repeat("x", i), "plan:pro")}); err != nil {
			t.Fatal(err)
		}
		h := stored(t, js, "POSTBACKS")[i].Header
		if got := len(strings.Join(h["tracestate"], "")); got != test.passed {
			t.Errorf("of a tracestate of %d bytes %d were passed on, expected %d", test.sent, got, test.passed)
		}
		if got := h["traceparent"]; len(got) != 1 || !strings.HasPrefix(got[0], "00-"+callersTrace+"-") {
			t.Errorf("traceparent %q", got)
		}
	}
}

// TestTraceHasRoom: an event of any size is stored, or a dead letter of it, however
// much the trace adds to its header.
func TestTraceHasRoom(t *testing.T) {
	cfg := tracedConfig(t)
	p := mustOpen(t, cfg)
	ctx := tracedBy(t, stream.MaxTraceState)
	seen := map[schema.Outcome]int{}
	for size := 1<<19 - 1200; size < 1<<19; size += 30 {
		outcomes, err := p.Publish(ctx, []schema.Item{click("m", strings.Repeat("x", size))})
		if err != nil {
			t.Fatalf("a payload of %d bytes: %v", size, err)
		}
		seen[outcomes[0]]++
	}
	if seen[schema.Rejected] == 0 || seen[schema.Stored]+seen[schema.Duplicate] == 0 {
		t.Errorf("outcomes %v: expected events on both sides of the limit", seen)
	}
}
