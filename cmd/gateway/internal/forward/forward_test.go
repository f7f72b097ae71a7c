package forward_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/forward"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/schema"
)

// bot is an existing bot: it notes what it accepts.
type bot struct {
	*httptest.Server
	respond func(http.ResponseWriter, *http.Request, string) // nil: 200

	mu       sync.Mutex
	accepted []string
	headers  []http.Header
}

func startBot(t *testing.T, respond func(http.ResponseWriter, *http.Request, string)) *bot {
	t.Helper()
	b := &bot{respond: respond}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if b.respond != nil {
			recorder := httptest.NewRecorder()
			b.respond(recorder, r, string(body))
			maps.Copy(w.Header(), recorder.Header())
			w.WriteHeader(recorder.Code)
			_, _ = w.Write(recorder.Body.Bytes())
			if recorder.Code != http.StatusOK {
				return
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.accepted, b.headers = append(b.accepted, string(body)), append(b.headers, r.Header)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bot) got() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.accepted)
}

// setup is a store and what a Forwarder needs.
type setup struct {
	t         *testing.T
	publisher *publish.Publisher
	js        jetstream.JetStream
	log       *natstest.Log
	registry  *prometheus.Registry
	maxAge    time.Duration
	metrics   *forward.Metrics
}

func newSetup(t *testing.T, change ...func(*publish.Config)) *setup {
	t.Helper()
	cfg := publishtest.EmbeddedConfig(t)
	cfg.Forward = true
	for _, c := range change {
		c(&cfg)
	}
	s := &setup{t: t, publisher: publishtest.Open(t, cfg), log: &natstest.Log{}, registry: prometheus.NewRegistry(), maxAge: time.Hour}
	s.js = natstest.JetStream(t, "", publishtest.InProcess(cfg))
	return s
}

func (s *setup) target(url string) forward.Target { return forward.Target{Webhook: "meta", URL: url} }

func (s *setup) start(targets ...forward.Target) *forward.Forwarder {
	s.t.Helper()
	if s.metrics == nil {
		var err error
		if s.metrics, err = forward.NewMetrics(s.registry, targets); err != nil {
			s.t.Fatal(err)
		}
	}
	f := forward.Start(forward.Config{
		Targets: targets, Token: func(bot string) string { return "token-of-" + bot }, MaxAge: s.maxAge, Streams: s.publisher.Monitor(), Store: s.publisher,
		Metrics: s.metrics, Log: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	s.t.Cleanup(func() { _ = f.Close(context.Background()) })
	return f
}

func (s *setup) store(account string, bodies ...string) {
	s.t.Helper()
	for _, body := range bodies {
		s.publish(&schema.Delivery{Webhook: "meta", Account: account, Body: []byte(body)})
	}
}

func (s *setup) publish(d *schema.Delivery) {
	s.t.Helper()
	if _, err := s.publisher.Publish(publishtest.Deadline(s.t, 10*time.Second), []schema.Item{{Delivery: d}}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *setup) messages(stream string) uint64 {
	return publishtest.Info(s.t, s.js, stream).State.Msgs
}

func (s *setup) eventuallyEmpty() {
	s.t.Helper()
	natstest.Eventually(s.t, "nothing waits to be forwarded", func() bool { return s.messages("POSTBACKS_DELIVERIES") == 0 })
}

func numbered(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%04d", prefix, i))
	}
	return all
}

func (s *setup) wantOnce(got []string, accounts ...string) {
	s.t.Helper()
	for _, account := range accounts {
		var own []string
		for _, body := range got {
			if strings.HasPrefix(body, account+"-") {
				own = append(own, body)
			}
		}
		if want := numbered(account, len(own)); !slices.Equal(own, want) {
			s.t.Errorf("account %s: got %v, want each once, in their order", account, own)
		}
	}
}

// The bot gets the bytes and the platform's headers, and the copy is freed.
func TestVerbatim(t *testing.T) {
	s := newSetup(t)
	b := startBot(t, nil)
	s.start(s.target(b.URL))
	body := "{\"a\":\"\\u00e9\"} \r\n\x00"
	s.publish(&schema.Delivery{Webhook: "meta", Account: "1", Body: []byte(body), Header: map[string][]string{
		"X-Hub-Signature": {"sha1=00"}, "User-Agent": {"facebookexternalua"}, "Content-Type": {"application/json; charset=utf-8"},
	}})
	s.eventuallyEmpty()
	if got := b.got(); len(got) != 1 || got[0] != body {
		t.Fatalf("got %q, want %q", got, body)
	}
	h := b.headers[0]
	if h.Get("X-Hub-Signature") != "sha1=00" || h.Get("User-Agent") != "facebookexternalua" || h.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("headers %v", h)
	}
	if h.Get("Nats-Msg-Id") != "" || h.Get("Accept-Encoding") != "" {
		t.Errorf("headers that are not the platform's: %v", h)
	}
}

// What was stored while no forwarder ran is forwarded in order, per account.
func TestOrder(t *testing.T) {
	s := newSetup(t)
	b := startBot(t, nil)
	s.store("1", numbered("1", 50)...)
	s.store("2", numbered("2", 50)...)
	s.start(s.target(b.URL))
	s.eventuallyEmpty()
	if got := b.got(); len(got) != 100 {
		t.Errorf("%d deliveries, want 100", len(got))
	}
	s.wantOnce(b.got(), "1", "2")
}

// A delivery that the bot does not accept holds up its account, and no other one.
func TestOneAccountFails(t *testing.T) {
	s := newSetup(t)
	healed := make(chan struct{})
	b := startBot(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		select {
		case <-healed:
		default:
			if body == "1-0000" {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	})
	s.store("1", numbered("1", 30)...)
	s.start(s.target(b.URL))
	s.store("2", numbered("2", 30)...)
	natstest.Eventually(t, "account 2 is forwarded", func() bool { return len(b.got()) == 30 })
	s.wantOnce(b.got(), "2")
	close(healed)
	s.eventuallyEmpty()
	s.wantOnce(b.got(), "1", "2")
	if log := s.log.String(); !strings.Contains(log, "the bot answered with status 500") || !strings.Contains(log, "deliveries are forwarded again") {
		t.Errorf("log: %s", log)
	}
}

// Several gateways share the work and keep the order.
func TestSeveralGateways(t *testing.T) {
	s := newSetup(t)
	b := startBot(t, nil)
	for range 3 {
		s.start(s.target(b.URL))
	}
	for i := range 40 {
		for _, account := range []string{"1", "2", "3"} {
			s.store(account, fmt.Sprintf("%s-%04d", account, i))
		}
	}
	s.eventuallyEmpty()
	if got := b.got(); len(got) != 120 {
		t.Errorf("%d deliveries, want 120", len(got))
	}
	s.wantOnce(b.got(), "1", "2", "3")
}

func TestInFlight(t *testing.T) {
	s := newSetup(t)
	var mu sync.Mutex
	now, most := 0, 0
	begun, release := make(chan struct{}, 100), make(chan struct{})
	b := startBot(t, func(http.ResponseWriter, *http.Request, string) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		begun <- struct{}{}
		<-release
		mu.Lock()
		now--
		mu.Unlock()
	})
	for i := range 20 {
		s.store(fmt.Sprint("account", i), "body")
	}
	s.start(s.target(b.URL))
	for range 16 {
		<-begun
	}
	close(release)
	s.eventuallyEmpty()
	if most != 16 {
		t.Errorf("%d in flight, want 16", most)
	}
}

func TestGivesUpOld(t *testing.T) {
	s := newSetup(t)
	s.maxAge = 4 * time.Second // a busy machine has tried once by then
	b := startBot(t, func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusUnauthorized) })
	s.start(s.target(b.URL + "/secret-path"))
	s.store("1", "1-0000")
	natstest.Eventually(t, "the delivery is a dead letter", func() bool { return s.messages("POSTBACKS_DEADLETTER") == 1 })
	s.eventuallyEmpty()
	m := publishtest.Stored(t, s.js, "POSTBACKS_DEADLETTER")[0]
	if m.Subject != "deadletter.postback.v1.meta.not_forwarded" || !strings.Contains(string(m.Data), `"body":"1-0000"`) || !strings.Contains(string(m.Data), "status 401") {
		t.Errorf("dead letter on %s: %s", m.Subject, m.Data)
	}
	if strings.Contains(string(m.Data)+s.log.String(), "secret-path") {
		t.Error("the target's URL is shown")
	}
}

// A bot that is down for long must not fill the stream: the server would drop deliveries.
func TestGivesUpWhenFull(t *testing.T) {
	s := newSetup(t, func(cfg *publish.Config) { cfg.MaxBytes = 1 << 20 }) // the stream gets 16 MiB
	f := s.start(s.target("http://127.0.0.1:1/"))
	body := strings.Repeat("x", 500_000)
	for i := range 31 { // 0.9 of the bound is 30 of them
		s.store("1", fmt.Sprintf("%04d-%s", i, body))
	}
	natstest.Eventually(t, "the oldest deliveries are dead letters", func() bool { return s.messages("POSTBACKS_DEADLETTER") > 0 })
	natstest.Eventually(t, "there is room", func() bool {
		return float64(publishtest.Info(t, s.js, "POSTBACKS_DELIVERIES").State.Bytes) < 0.9*16*(1<<20)
	})
	// While it runs, a delivery that is given up is in both streams for a moment.
	if err := f.Close(publishtest.Deadline(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	total := s.messages("POSTBACKS_DELIVERIES") + s.messages("POSTBACKS_DEADLETTER")
	if total != 31 {
		t.Errorf("%d deliveries and dead letters, want 31", total)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	s := newSetup(t)
	elsewhere := startBot(t, nil)
	b := startBot(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	s.start(s.target(b.URL))
	s.store("1", "1-0000")
	natstest.Eventually(t, "a redirect is logged", func() bool { return strings.Contains(s.log.String(), "redirects are not followed") })
	if len(elsewhere.got()) > 0 || s.messages("POSTBACKS_DELIVERIES") != 1 {
		t.Error("the redirect was followed")
	}
}

// A stop waits for the attempt in progress, and starts no other one.
func TestCloseFinishesAttempts(t *testing.T) {
	s := newSetup(t)
	begun, release := make(chan struct{}), make(chan struct{})
	b := startBot(t, func(_ http.ResponseWriter, _ *http.Request, body string) {
		if body == "1-0000" {
			close(begun)
			<-release
		}
	})
	f := s.start(s.target(b.URL))
	s.store("1", numbered("1", 2)...)
	<-begun
	f.Stop() // the attempt ends after that
	close(release)
	if err := f.Close(publishtest.Deadline(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := b.got(); !slices.Equal(got, []string{"1-0000"}) {
		t.Errorf("got %v", got)
	}
	s.start(s.target(b.URL))
	s.eventuallyEmpty()
	if got := b.got(); !slices.Equal(got, numbered("1", 2)) {
		t.Errorf("got %v, want each once", got)
	}
}

// A response with a call of the Bot API is logged once.
func TestMethodInResponse(t *testing.T) {
	s := newSetup(t)
	b := startBot(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		_, _ = io.WriteString(w, `{"method":"sendMessage","chat_id":1,"text":"hello"}`)
	})
	s.start(forward.Target{Webhook: "telegram", Account: "shop_bot", URL: b.URL})
	for i := range 2 {
		s.publish(&schema.Delivery{Webhook: "telegram", Account: "shop_bot", Body: fmt.Appendf(nil, `{"update_id":%d}`, i)})
	}
	s.publish(&schema.Delivery{Webhook: "telegram", Account: "other_bot", Body: []byte(`{}`)})
	natstest.Eventually(t, "the bot's deliveries are forwarded", func() bool { return s.messages("POSTBACKS_DELIVERIES") == 1 })
	if n := strings.Count(s.log.String(), "docs/existing-bot.md"); n != 1 {
		t.Errorf("%d lines, want 1: %s", n, s.log)
	}
	if got := b.got(); len(got) != 2 {
		t.Errorf("got %v, want nothing of another bot", got)
	}
}

func TestMetrics(t *testing.T) {
	s := newSetup(t)
	b := startBot(t, nil)
	s.store("1", numbered("1", 3)...)
	s.start(s.target(b.URL))
	value := func(name string, labels ...string) float64 {
		families, err := s.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() != name {
				continue
			}
			for _, m := range family.Metric {
				var has []string
				for _, l := range m.Label {
					has = append(has, l.GetValue())
				}
				if slices.Equal(has, labels) {
					return m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
		t.Fatalf("no series %s%v", name, labels)
		return 0
	}
	natstest.Eventually(t, "all are counted", func() bool {
		return value("gateway_forwarded_deliveries_total", "forwarded", "meta") == 3 && value("gateway_forward_pending_deliveries", "meta") == 0
	})
	b.Close()
	s.store("1", "1-0003")
	natstest.Eventually(t, "the backlog is shown", func() bool {
		return value("gateway_forward_pending_deliveries", "meta") == 1 && value("gateway_forward_lag_seconds", "meta") > 0 &&
			value("gateway_forwarded_deliveries_total", "failed", "meta") > 0
	})
}
