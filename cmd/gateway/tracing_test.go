package main

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// The trace that a request of these tests belongs to.
const (
	callersTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan   = "00f067aa0ba902b7"
	callersParent = "00-" + callersTrace + "-" + callersSpan + "-01"
)

// soon has the SDK send at once what it would collect for seconds.
const soon = "OTEL_BSP_SCHEDULE_DELAY=20"

// postWith posts a signed body with further headers.
func (p *gatewayProcess) postWith(body []byte, header map[string]string) (int, string) {
	p.t.Helper()
	request, err := simulate.Request(p.at.Webhook, p.secret(), body)
	if err != nil {
		p.t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	return p.do(request)
}

func oneClick(id string) []byte {
	return simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro", ID: id})
}

// TestTracing: one span for the delivery below that of the caller, one for the
// store below it, and the store's in the header of each message; nothing of what
// was clicked in any of them.
func TestTracing(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	// With the SDK's own delay the spans come when the gateway ends.
	p := startGateway(t, t.TempDir(), "GATEWAY_OTLP_ENDPOINT="+c.server.URL, "GATEWAY_LOG_LEVEL=info", "OTEL_BSP_SCHEDULE_DELAY=600000",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
	events, letters := consume(t, p.at.NATS, "POSTBACKS"), consume(t, p.at.NATS, "POSTBACKS_DEADLETTER")
	delivery := simulate.Messenger(
		simulate.Click{Account: "1", User: "hush-user", Title: "hush-title", Payload: "hush-payload:x", Ref: "hush-ref", ID: "hush-1"},
		simulate.Click{Account: "2", User: "hush-user", Title: "hush-title", Payload: "hush-payload:y", ID: "hush-2"},
		simulate.Click{Account: "1", Title: "hush-title", Payload: "hush-payload:z", ID: "hush-3"}, // of nobody
	)
	status, body := p.postWith(delivery, map[string]string{"traceparent": callersParent, "tracestate": "vendor=of-the-caller", "baggage": "user=hush-user"})
	wantAnswer(t, status, body, `{"accepted":2,"duplicates":0,"ignored":0,"rejected":1}`)
	headers := []jetstream.Msg{events.next(), events.next(), letters.next()}
	p.terminate()

	spans := c.spans()
	server, store := only(t, spans, tracepb.Span_SPAN_KIND_SERVER), only(t, spans, tracepb.Span_SPAN_KIND_PRODUCER)
	if len(spans) != 2 || server.Name != "POST /webhooks/meta" || store.Name != "publish POSTBACKS" {
		t.Errorf("spans %v", spans)
	}
	if !strings.HasPrefix(server.parent(), "00-"+callersTrace+"-") || !strings.HasPrefix(store.parent(), "00-"+callersTrace+"-") {
		t.Errorf("traces %s and %s, expected %s", server.parent(), store.parent(), callersTrace)
	}
	if got := (span{Span: &tracepb.Span{TraceId: server.TraceId, SpanId: server.ParentSpanId, Flags: 1}}).parent(); got != callersParent {
		t.Errorf("the delivery is below %s, expected %s", got, callersParent)
	}
	if string(store.ParentSpanId) != string(server.SpanId) {
		t.Errorf("the store is below %x, expected the delivery, %x", store.ParentSpanId, server.SpanId)
	}
	for _, m := range headers {
		if got := m.Headers()["traceparent"]; len(got) != 1 || got[0] != store.parent() {
			t.Errorf("%s has the traceparent %q, expected %q", m.Subject(), got, store.parent())
		}
		if got := m.Headers()["tracestate"]; len(got) != 1 || got[0] != "vendor=of-the-caller" {
			t.Errorf("%s has the tracestate %q", m.Subject(), got)
		}
		if got := m.Headers().Values("baggage"); len(got) > 0 {
			t.Errorf("%s has the baggage %q", m.Subject(), got)
		}
	}
	wantAttributes(t, server, map[string]string{
		"http.request.method": "POST", "http.route": "/webhooks/meta", "url.path": "/webhooks/meta", "url.scheme": "http",
		"network.protocol.version": "1.1", "http.response.status_code": "200",
		"postback.outcome": "rejected", "postback.platform": "messenger", "postback.account": "1,2",
		"postback.accepted": "2", "postback.duplicates": "0", "postback.ignored": "0", "postback.rejected": "1",
	})
	wantAttributes(t, store, map[string]string{
		"messaging.system": "nats", "messaging.operation.name": "publish", "messaging.operation.type": "send",
		"messaging.destination.name": "POSTBACKS", "messaging.batch.message_count": "3",
	})
	if s := server.service; s["service.name"] != "postback-gateway" || s["service.version"] == "" || s["deployment.environment.name"] != "test" {
		t.Errorf("resource %v", s)
	}
	if sent := c.bodies.String(); strings.Contains(sent, "hush") || strings.Contains(sent, p.secret()) {
		t.Errorf("the spans hold what was clicked, or the secret: %q", sent)
	}
	if !strings.Contains(p.log.String(), `"trace_id":"`+callersTrace+`"`) {
		t.Errorf("the line of the delivery does not name the trace:\n%s", p.log)
	}
}

func wantAttributes(t testing.TB, s span, want map[string]string) {
	t.Helper()
	if got := attributes(s.Attributes); !maps.Equal(got, want) {
		t.Errorf("%s\ngot  %v\nwant %v", s.Name, got, want)
	}
}

// TestTracingOfRefusals: a request that anybody can send makes no span, whatever
// its traceparent says; one that was verified does, also where it is answered 503.
func TestTracingOfRefusals(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	p := startGateway(t, t.TempDir(), "GATEWAY_OTLP_ENDPOINT="+c.server.URL, "GATEWAY_TELEGRAM_SECRETS=bot:token", "GATEWAY_MAX_BODY_BYTES=1000", soon)
	forge := func(path, header, value string) {
		request, err := http.NewRequest(http.MethodPost, p.at.Webhook+path, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(header, value)
		request.Header.Set("traceparent", callersParent)
		if status, body := p.do(request); status != http.StatusUnauthorized {
			t.Errorf("%s: answered %d %s", path, status, body)
		}
	}
	forge("/webhooks/meta", "X-Hub-Signature-256", "")
	forge("/webhooks/meta", "X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
	forge("/webhooks/telegram/bot", "X-Telegram-Bot-Api-Secret-Token", "other")

	// A Telegram secret stands in the header, so what follows is of a known sender.
	update, err := http.NewRequest(http.MethodPost, p.at.Webhook+"/webhooks/telegram/bot", struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", 2000))})
	if err != nil {
		t.Fatal(err)
	}
	update.Header.Set("X-Telegram-Bot-Api-Secret-Token", "token")
	if status, body := p.do(update); status != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %d %s", status, body)
	}
	if status, body := p.post(p.secret(), oneClick("m")); status != http.StatusOK {
		t.Errorf("answered %d %s", status, body)
	}
	p.terminate() // sends all that there is
	var names []string
	for _, s := range c.spans() {
		names = append(names, s.Name+" "+attributes(s.Attributes)["postback.outcome"])
	}
	slices.Sort(names)
	if want := []string{"POST /webhooks/meta stored", "POST /webhooks/telegram/{bot} refused", "publish POSTBACKS "}; !slices.Equal(names, want) {
		t.Errorf("spans %q, expected %q", names, want)
	}
}

// TestTracingOff: without a collector there is no header, and no connection to the
// one that the SDK's own variables name.
func TestTracingOff(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	p := startGateway(t, t.TempDir(), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.server.URL, "OTEL_TRACES_SAMPLER=always_on", soon)
	events := consume(t, p.at.NATS, "POSTBACKS")
	if status, body := p.postWith(oneClick("m"), map[string]string{"traceparent": callersParent}); status != http.StatusOK {
		t.Errorf("answered %d %s", status, body)
	}
	if got := events.next().Headers(); len(got) != 2 {
		t.Errorf("headers %v", got)
	}
	p.terminate()
	if len(c.requests) > 0 {
		t.Errorf("%d requests to the collector", len(c.requests))
	}
	if strings.Contains(p.log.String(), "trace_id") {
		t.Errorf("the log names a trace:\n%s", p.log)
	}
}

// TestTraceContext: whose child a delivery becomes, and who decides whether its
// spans are sent.
func TestTraceContext(t *testing.T) {
	t.Parallel()
	const notSampled = "00-" + callersTrace + "-" + callersSpan + "-00"
	for _, test := range []struct {
		name, parent, sampler string
		sameTrace, sent       bool
	}{
		{"none", "", "", false, true},
		{"sampled", callersParent, "", true, true},
		{"not sampled", notSampled, "", true, false},
		{"not sampled, not asked", notSampled, "always_on", true, true},
		{"sampled, not asked", callersParent, "always_off", true, false},
		{"only of those that are asked for", callersParent, "parentbased_always_off", true, true},
		{"too short", callersParent[:54], "", false, true},
		{"no hex", strings.Replace(callersParent, "4b", "xy", 1), "", false, true},
		{"of zeros", "00-" + strings.Repeat("0", 32) + "-" + callersSpan + "-01", "", false, true},
		{"something else", "'; DROP TABLE spans; --", "", false, true},
		{"long", strings.Repeat("0", 8000), "", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := startCollector(t)
			env := []string{"GATEWAY_OTLP_ENDPOINT=" + c.server.URL}
			if test.sampler != "" {
				env = append(env, "OTEL_TRACES_SAMPLER="+test.sampler)
			}
			p := startGateway(t, t.TempDir(), env...)
			events := consume(t, p.at.NATS, "POSTBACKS")
			if status, body := p.postWith(oneClick("m"), map[string]string{"traceparent": test.parent}); status != http.StatusOK {
				t.Fatalf("answered %d %s", status, body)
			}
			parent := events.next().Headers()["traceparent"]
			p.terminate()
			flag := map[bool]string{true: "-01", false: "-00"}[test.sent]
			if len(parent) != 1 || len(parent[0]) != 55 || strings.Contains(parent[0], callersTrace) != test.sameTrace ||
				strings.Contains(parent[0], callersSpan) || !strings.HasSuffix(parent[0], flag) {
				t.Errorf("the message has the traceparent %q", parent)
			}
			if got := len(c.spans()) > 0; got != test.sent {
				t.Errorf("%d spans were sent", len(c.spans()))
			}
		})
	}
}

// TestCollectorAway: deliveries do not notice that there is no collector, the log
// says it once, and what is traced after it has come arrives.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:" + strconv.Itoa(natstest.FreePort(t))
	p := startGateway(t, t.TempDir(), "GATEWAY_OTLP_ENDPOINT=http://"+address, "GATEWAY_LOG_LEVEL=info", soon)
	deliver := func() {
		t.Helper()
		if status, body := p.post(p.secret(), oneClick("m")); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, body)
		}
	}
	deliver()
	c := startCollectorOn(t, address)
	c.refuses(true)
	eventually(t, "several batches are refused", func() bool { deliver(); return c.asked() >= 3 })
	c.refuses(false)
	eventually(t, "spans arrive", func() bool { deliver(); return len(c.spans()) > 0 })
	p.terminate()
	if n := strings.Count(p.log.String(), "collector does not accept traces"); n != 1 {
		t.Errorf("%d lines about the collector that is away:\n%s", n, p.log)
	}
	if n := strings.Count(p.log.String(), "collector accepts traces again"); n != 1 {
		t.Errorf("%d lines about its return:\n%s", n, p.log)
	}
}

// TestCollectorHangs: one that takes connections and never answers holds up neither
// deliveries nor, for long, the end.
func TestCollectorHangs(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := startGateway(t, t.TempDir(), "GATEWAY_OTLP_ENDPOINT=http://"+listener.Addr().String(), soon,
		"OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2")
	begin := time.Now()
	for i := range 100 { // far more than there is room for
		if status, body := p.post(p.secret(), oneClick(strconv.Itoa(i))); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, body)
		}
	}
	if took := time.Since(begin); took > 30*time.Second { // each one is synced; with the collector's time it would be minutes
		t.Errorf("100 deliveries took %s", took)
	}
	begin = time.Now()
	p.terminate()
	// The second of notice, that for idle connections, and three for the flush.
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("the end took %s", took)
	}
	if !strings.Contains(p.log.String(), "could not send the last spans") {
		t.Errorf("log:\n%s", p.log)
	}
}

// TestCollectorLogin: the login of the URL is sent, and shown nowhere.
func TestCollectorLogin(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	p := startGateway(t, t.TempDir(), "GATEWAY_OTLP_ENDPOINT="+strings.Replace(c.server.URL, "//", "//user:hunter2@", 1)+"/of/its/own", soon)
	p.post(p.secret(), oneClick("m"))
	c.await(2)
	p.terminate()
	r := c.requests[0]
	if user, password, _ := r.BasicAuth(); user != "user" || password != "hunter2" || r.URL.Path != "/of/its/own" {
		t.Errorf("got %s %s with %q", r.Method, r.URL, r.Header["Authorization"])
	}
	mustNotTell(t, "the log", p.log.String())
}

// TestSDKVariablesAreNotShown: the SDK would print what it cannot read, which may
// be a key in a header.
func TestSDKVariablesAreNotShown(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	p := startGateway(t, t.TempDir(), "GATEWAY_OTLP_ENDPOINT="+c.server.URL, soon,
		"OTEL_EXPORTER_OTLP_HEADERS=hunter2,a b=hunter2,c=hunter2%zz,good=1", "OTEL_TRACES_SAMPLER=some", "OTEL_RESOURCE_ATTRIBUTES=half")
	p.post(p.secret(), oneClick("m"))
	c.await(2)
	p.terminate()
	mustNotTell(t, "the log", p.log.String())
	if got := c.requests[0].Header.Get("good"); got != "1" {
		t.Errorf("the header that can be read was sent as %q", got)
	}
	for _, want := range []string{"parse headers", "unsupported sampler: some", "missing value: [half]"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, p.log)
		}
	}
	for line := range strings.Lines(p.log.String()) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a line in a form of its own: %s", line)
		}
	}
}

// TestTraceIsRelayed: the header goes with the event to the cluster.
func TestTraceIsRelayed(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	cluster := natstest.Start(t, "")
	p := startGateway(t, t.TempDir(), "GATEWAY_NATS_URL="+cluster.URL(), "GATEWAY_RELAY=true", "GATEWAY_OTLP_ENDPOINT="+c.server.URL, soon)
	if status, body := p.postWith(oneClick("m"), map[string]string{"traceparent": callersParent}); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, body)
	}
	m := consume(t, cluster.URL(), "POSTBACKS").next()
	store := only(t, c.await(2), tracepb.Span_SPAN_KIND_PRODUCER)
	if got := m.Headers()["traceparent"]; len(got) != 1 || got[0] != store.parent() {
		t.Errorf("the cluster got the traceparent %q, expected %q", got, store.parent())
	}
	p.terminate()
}

// TestTraceOfUnclaimed: the header goes with the event to the stream of the unclaimed.
func TestTraceOfUnclaimed(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	p := startGateway(t, t.TempDir(), "GATEWAY_FALLBACK=true", "GATEWAY_OTLP_ENDPOINT="+c.server.URL, soon)
	p.awaitFallback()
	if status, body := p.post(p.secret(), oneClick("m")); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, body)
	}
	m := consume(t, p.at.NATS, "POSTBACKS_UNCLAIMED").next()
	store := only(t, c.await(2), tracepb.Span_SPAN_KIND_PRODUCER)
	if got := m.Headers()["traceparent"]; len(got) != 1 || got[0] != store.parent() {
		t.Errorf("the unclaimed event has the traceparent %q, expected %q", got, store.parent())
	}
	p.terminate()
}
