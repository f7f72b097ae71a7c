package publish

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/publish/natstest"
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
	for i, test := range []struct{ sent, passed int }{{0, 0}, {100, 100}, {maxTraceState, maxTraceState}, {maxTraceState + 1, 0}, {5000, 0}} {
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
	ctx := tracedBy(t, maxTraceState)
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

// TestTraceOfWhatIsMadeSmaller: an event that is too large for the servers that it
// is relayed to keeps its trace as a dead letter there.
func TestTraceOfWhatIsMadeSmaller(t *testing.T) {
	cfg := testConfig()
	item := click("m", strings.Repeat("x", 4000))
	encoded, err := item.Message(cfg.Root, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m := cfg.message(&encoded)
	m.msg.Header["traceparent"] = []string{"00-" + callersTrace + "-00f067aa0ba902b7-01"}
	m.msg.Header["tracestate"] = []string{"a=" + strings.Repeat("x", maxTraceState-2)}
	const limit = 3000
	if err := m.fit(&cfg, limit); err != nil {
		t.Fatal(err)
	}
	if size := headerSize(m.msg.Header) + len(m.msg.Data); size > limit {
		t.Errorf("%d bytes, expected at most %d", size, limit)
	}
	if h := m.msg.Header; h.Get("traceparent") != "00-"+callersTrace+"-00f067aa0ba902b7-01" || len(h.Get("tracestate")) != maxTraceState ||
		!strings.HasPrefix(h.Get(jetstream.MsgIDHeader), "deadletter:messenger:too_large:") {
		t.Errorf("header %v", h)
	}
}

// headerSize is the size of a header block, in bytes.
func headerSize(h nats.Header) int {
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return size
}

func TestHideSubjects(t *testing.T) {
	cfg := Config{Root: "Shop.Clicks"}
	for given, want := range map[string]string{
		`nats: permissions violation for publish to "shop.clicks.messenger.1.plan.pro"`:     `nats: permissions violation for publish to "shop.clicks.>"`,
		`Permissions Violation for Publish to "deadletter.Shop.Clicks.messenger.too_large"`: `Permissions Violation for Publish to "deadletter.Shop.Clicks.>"`,
		`subject Shop.Clicks.a.b.c.d, then more`:                                            `subject Shop.Clicks.> then more`,
		`permissions violation for subscription to "_inbox.x"`:                              `permissions violation for subscription to "_inbox.x"`,
		`stream captures shop.clicks`:                                                       `stream captures shop.clicks`,
	} {
		if got := cfg.hideSubjects(given); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", given, got, want)
		}
	}
}
