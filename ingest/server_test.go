package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
	"github.com/postback-gateway/gateway/schema/schematest"
)

const (
	testSecret = "0123456789abcdef0123456789abcdef"
	testToken  = "a-verify-token"
)

var testNow = time.Date(2026, 11, 21, 8, 0, 0, 123e6, time.UTC)

// fakePublisher records the messages. The tests of cmd/gateway use a real store.
type fakePublisher struct {
	publish func(context.Context, []schema.Item) ([]schema.Outcome, error)

	mu       sync.Mutex
	messages []schema.Message
}

func (f *fakePublisher) Publish(ctx context.Context, items []schema.Item) ([]schema.Outcome, error) {
	if f.publish != nil {
		return f.publish(ctx, items)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var outcomes []schema.Outcome
	for i := range items {
		m, err := items[i].Message(schema.Subjects{Root: schema.DefaultRoot}, 1<<20)
		if err != nil {
			return nil, err
		}
		f.messages = append(f.messages, m)
		outcome := schema.Stored
		if m.DeadLetter != "" {
			outcome = schema.Rejected
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// taken returns the messages since the last call.
func (f *fakePublisher) taken() []schema.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.messages
	f.messages = nil
	return out
}

type testServer struct {
	*Server
	url string
	pub *fakePublisher
	reg *prometheus.Registry
	log *bytes.Buffer
}

func testConfig() Config {
	return Config{
		Secrets:      Secrets{MetaAppSecrets: []string{"an-older-secret", testSecret}, MetaVerifyToken: testToken, TelegramSecrets: testBots},
		MaxBodyBytes: 4 << 20, MaxInFlight: 8, PublishTimeout: time.Second, LabelLimit: 2,
		Now: func() time.Time { return testNow },
	}
}

func newTestServer(t testing.TB, edit func(*Config)) *testServer {
	t.Helper()
	cfg := testConfig()
	if edit != nil {
		edit(&cfg)
	}
	ts := &testServer{pub: &fakePublisher{}, reg: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	logger := slog.New(slog.NewJSONHandler(ts.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if ts.Server, err = New(cfg, ts.pub, logger, ts.reg); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(ts.Server)
	t.Cleanup(listener.Close)
	ts.url = listener.URL
	return ts
}

// json returns the response without the line feed at its end.
func (c counts) json() []byte { return bytes.TrimSuffix(c.text(), []byte("\n")) }

func signatureOf(secret string, body []byte) string { return simulate.Sign(secret, body) }

type answer struct {
	status int
	header http.Header
	body   string
}

func (ts *testServer) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, schematest.JSONLine(t, response.Header, body)}
}

// post delivers body to Meta's webhook, signed unless header says otherwise.
func (ts *testServer) post(t testing.TB, body []byte, header map[string]string) answer {
	t.Helper()
	r, err := simulate.Request(ts.url, testSecret, body)
	if err != nil {
		t.Fatal(err)
	}
	return ts.send(t, r, header)
}

// send sends r with other headers; an empty value removes one.
func (ts *testServer) send(t testing.TB, r *http.Request, header map[string]string) answer {
	t.Helper()
	for name, value := range header {
		if value == "" {
			r.Header.Del(name)
			continue
		}
		r.Header.Set(name, value)
	}
	return ts.do(t, r)
}

func (a answer) check(t testing.TB, status int, detail string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if a.status != status || p.Status != status || p.Detail != detail || p.Title == "" {
		t.Errorf("got %d %s, want %d with detail %q", a.status, a.body, status, detail)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type = %q", got)
	}
}

const okPostback = `{"object":"page","entry":[{"id":"1","messaging":[{"sender":{"id":"u"},"recipient":{"id":"1"},` +
	`"timestamp":1700000000000,"postback":{"mid":"m_1","title":"T","payload":"plan:pro"}}]}]}`

func TestHandshake(t *testing.T) {
	ts := newTestServer(t, nil)
	for _, test := range []struct {
		query  string
		status int
		body   string
	}{
		{"hub.mode=subscribe&hub.verify_token=a-verify-token&hub.challenge=1158201444", 200, "1158201444"},
		{"hub.mode=subscribe&hub.verify_token=a-verify-token&hub.challenge=%3Cb%3E%20x", 200, "<b> x"},
		{"hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1", 403, "verify token does not match"},
		{"hub.mode=subscribe&hub.verify_token=a-verify-toke&hub.challenge=1", 403, "verify token does not match"},
		{"hub.mode=subscribe&hub.verify_token=a-verify-token", 400, errHandshake.Detail},
		{"hub.mode=subscribe&hub.challenge=1", 400, errHandshake.Detail},
		{"hub.verify_token=a-verify-token&hub.challenge=1", 400, errHandshake.Detail},
		{"hub.mode=unsubscribe&hub.verify_token=a-verify-token&hub.challenge=1", 400, errHandshake.Detail},
		{"", 400, errHandshake.Detail},
	} {
		t.Run(test.query, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodGet, ts.url+"/webhooks/meta?"+test.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			a := ts.do(t, r)
			if test.status != 200 {
				a.check(t, test.status, test.body)
				return
			}
			if a.status != 200 || a.body != test.body || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
				t.Errorf("got %d %q %q", a.status, a.body, a.header)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	ts := newTestServer(t, nil)
	for _, test := range []struct {
		method, path string
		status       int
		detail       string
		allow        string
	}{
		{"GET", "/", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/meta/", 404, errNotFound.Detail, ""},
		{"POST", "//webhooks/meta", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/telegram/unknown", 404, errNotFound.Detail, ""},
		{"GET", "/metrics", 404, errNotFound.Detail, ""},
		{"PUT", "/webhooks/meta", 405, "expected GET, POST", "GET, POST"},
		{"OPTIONS", "/webhooks/meta", 405, "expected GET, POST", "GET, POST"},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			r, err := http.NewRequest(test.method, ts.url+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			a := ts.do(t, r)
			a.check(t, test.status, test.detail)
			if got := a.header.Get("Allow"); got != test.allow {
				t.Errorf("Allow = %q, want %q", got, test.allow)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.MaxBodyBytes = 1 << 10 })
	body := []byte(okPostback)
	large := append(bytes.Clone(body), bytes.Repeat([]byte(" "), 1<<10)...)
	for _, test := range []struct {
		name   string
		body   []byte
		header map[string]string
		status int
		detail string
	}{
		{"unsigned", body, map[string]string{headerSignature: ""}, 401, "signature does not match"},
		{"sha1 only", body, map[string]string{headerSignature: "", headerSignatureOld: "sha1=00"}, 401, "signature does not match"},
		{"not hex", body, map[string]string{headerSignature: "sha256=xyz"}, 401, "signature does not match"},
		{"short", body, map[string]string{headerSignature: "sha256=00"}, 401, "signature does not match"},
		{"no scheme", body, map[string]string{headerSignature: strings.Repeat("0", 64)}, 401, "signature does not match"},
		{"another secret", body, map[string]string{headerSignature: signatureOf("other", body)}, 401, "signature does not match"},
		{"another body", append(bytes.Clone(body), '\n'), map[string]string{headerSignature: signatureOf(testSecret, body)}, 401, "signature does not match"},
		{"unsigned and not JSON", []byte("{"), map[string]string{headerSignature: ""}, 401, "signature does not match"},
		{"form", body, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415, errMediaType.Detail},
		{"text", body, map[string]string{"Content-Type": "text/json"}, 415, errMediaType.Detail},
		{"no media type", body, map[string]string{"Content-Type": ";"}, 415, errMediaType.Detail},
		{"too large", large, nil, 413, errTooLarge.Detail},
	} {
		t.Run(test.name, func(t *testing.T) {
			ts.post(t, test.body, test.header).check(t, test.status, test.detail)
			if got := ts.pub.taken(); len(got) > 0 {
				t.Errorf("published %v", got)
			}
		})
	}
}

func TestContentTypes(t *testing.T) {
	ts := newTestServer(t, nil)
	for _, contentType := range []string{"", "application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json"} {
		if a := ts.post(t, []byte(okPostback), map[string]string{"Content-Type": contentType}); a.status != 200 {
			t.Errorf("%q: got %d %s", contentType, a.status, a.body)
		}
	}
}

// Without a Content-Length, the limit applies while reading: a body of the limit is
// accepted, and one more byte is not.
func TestBodyLimitWhileReading(t *testing.T) {
	limit := int64(len(okPostback) + 100)
	ts := newTestServer(t, func(c *Config) { c.MaxBodyBytes = limit })
	for pad, status := range map[int]int{100: 200, 101: 413} {
		body := []byte(okPostback + strings.Repeat(" ", pad))
		r, err := http.NewRequest(http.MethodPost, ts.url+"/webhooks/meta", struct{ io.Reader }{bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(headerSignature, signatureOf(testSecret, body))
		if a := ts.do(t, r); a.status != status {
			t.Errorf("%d bytes over: got %d %s, want %d", int64(len(body))-limit, a.status, a.body, status)
		}
	}
}

func TestNotJSON(t *testing.T) {
	ts := newTestServer(t, nil)
	for name, body := range map[string]string{
		"empty": "", "text": "hello", "number": "5", "null": "null", "string": `"x"`, "empty array": "[]", "array of numbers": "[1,2]",
		"cut": okPostback[:len(okPostback)-3], "more": okPostback + "x", "two": okPostback + okPostback,
		"binary": "\xff\xfe\x00", "deep": strings.Repeat("[", 100000), "deep object": strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001),
	} {
		t.Run(name, func(t *testing.T) {
			ts.post(t, []byte(body), nil).check(t, 400, errNotJSON.Detail)
			got := ts.pub.taken()
			if len(got) != 1 || got[0].Subject != "deadletter.postback.v1.meta.not_json" {
				t.Fatalf("got %v", got)
			}
			var d schema.DeadLetter
			if err := json.Unmarshal(got[0].Data, &d); err != nil {
				t.Fatal(err)
			}
			if kept, err := d.Bytes(); err != nil || string(kept) != body {
				t.Errorf("kept %q, %v", kept, err)
			}
		})
	}
}

func TestAllowUnsigned(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.MetaAllowUnsigned = true })
	if a := ts.post(t, []byte(okPostback), map[string]string{headerSignature: ""}); a.status != 200 {
		t.Errorf("unsigned: got %d %s", a.status, a.body)
	}
	ts.post(t, []byte(okPostback), map[string]string{headerSignature: signatureOf("other", []byte(okPostback))}).
		check(t, 401, "signature does not match")
}

func TestStoreFails(t *testing.T) {
	ts := newTestServer(t, nil)
	ts.pub.publish = func(ctx context.Context, items []schema.Item) ([]schema.Outcome, error) {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Second {
			t.Errorf("deadline %v, %t", deadline, ok)
		}
		return []schema.Outcome{schema.Failed}, errors.New("nats: server nats-7 is away")
	}
	for _, body := range []string{okPostback, "not JSON"} {
		a := ts.post(t, []byte(body), nil)
		a.check(t, 503, errStore.Detail)
		if a.header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After = %q", a.header.Get("Retry-After"))
		}
	}
	if !strings.Contains(ts.log.String(), "nats-7 is away") {
		t.Errorf("the log does not say why: %s", ts.log)
	}
}

// If all slots are taken, the next delivery waits for one. If it gets none in time, or
// too many wait already, it is answered 503. Those in progress finish.
func TestOverload(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.MaxInFlight = 2 })
	entered, leave := make(chan struct{}), make(chan struct{})
	ts.pub.publish = func(context.Context, []schema.Item) ([]schema.Outcome, error) {
		entered <- struct{}{}
		<-leave
		return []schema.Outcome{schema.Stored}, nil
	}
	answers := make(chan answer, 3)
	post := func() { answers <- ts.post(t, []byte(okPostback), nil) }
	for range 2 {
		go post()
		<-entered
	}
	start := time.Now()
	a := ts.post(t, []byte(okPostback), nil)
	a.check(t, 503, errBusy.Detail)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q", a.header.Get("Retry-After"))
	}
	if took := time.Since(start); took < slotWait {
		t.Errorf("rejected after %s, expected to wait %s", took, slotWait)
	}

	for range maxWaiting {
		ts.slots.waiting <- struct{}{}
	}
	waited := slotWaits(t, ts.reg)
	ts.post(t, []byte(okPostback), nil).check(t, 503, errBusy.Detail)
	if slotWaits(t, ts.reg) != waited || waited == 0 {
		t.Errorf("it waited although there was no room to wait")
	}
	for range maxWaiting {
		<-ts.slots.waiting
	}

	go post()
	for len(ts.slots.waiting) == 0 {
		runtime.Gosched()
	}
	leave <- struct{}{}
	<-entered // the one that waited
	close(leave)
	for range 3 {
		if a := <-answers; a.status != 200 {
			t.Errorf("inside: got %d %s", a.status, a.body)
		}
	}
}

// slotWaits returns how many deliveries have waited for a slot.
func slotWaits(t *testing.T, reg *prometheus.Registry) uint64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "gateway_slot_wait_seconds" {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatal("no gateway_slot_wait_seconds")
	return 0
}

func TestConfigCheck(t *testing.T) {
	for want, edit := range map[string]func(*Config){
		"no app secret: every request would be refused":                    func(c *Config) { c.MetaAppSecrets = nil },
		"an app secret is empty: anybody could sign with it":               func(c *Config) { c.MetaAppSecrets = []string{"x", ""} },
		"no verify token: Meta's handshake could not succeed":              func(c *Config) { c.MetaVerifyToken = "" },
		"MaxBodyBytes, MaxInFlight and PublishTimeout have to be positive": func(c *Config) { c.MaxInFlight = 0 },
	} {
		cfg := Config{Secrets: Secrets{MetaAppSecrets: []string{"x"}, MetaVerifyToken: "y"}, MaxBodyBytes: 1, MaxInFlight: 1, PublishTimeout: 1}
		edit(&cfg)
		if _, err := New(cfg, &fakePublisher{}, slog.Default(), prometheus.NewRegistry()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A sender that stops in the middle gets 408. It never occupies a slot, because it is not
// authenticated.
func TestSlowSender(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.MaxInFlight = 1 })
	listener := httptest.NewUnstartedServer(ts.Server)
	listener.Config.ReadTimeout = 2 * time.Second
	listener.Start()
	t.Cleanup(listener.Close)
	reader, writer := io.Pipe()
	defer writer.Close()
	r, err := http.NewRequest(http.MethodPost, listener.URL+"/webhooks/meta", reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(headerSignature, signatureOf(testSecret, []byte(okPostback)))
	slow := make(chan answer, 1)
	go func() { slow <- ts.do(t, r) }()
	if _, err := writer.Write([]byte(okPostback[:10])); err != nil { // taken: the request is under way
		t.Fatal(err)
	}
	if a := ts.post(t, []byte(okPostback), nil); a.status != 200 {
		t.Errorf("meanwhile: got %d %s", a.status, a.body)
	}
	(<-slow).check(t, 408, errIncomplete.Detail)
}

// The memory for large bodies is limited. Small bodies always pass.
func TestReadBudget(t *testing.T) {
	ts := newTestServer(t, nil)
	ts.readMemory.Store(readBudget)
	large := okPostback + strings.Repeat(" ", firstRead)
	ts.post(t, []byte(large), nil).check(t, 503, errBusy.Detail)
	if a := ts.post(t, []byte(okPostback), nil); a.status != 200 {
		t.Errorf("small: got %d %s", a.status, a.body)
	}
	ts.readMemory.Store(0)
	b := ts.newBody()
	if err := b.read(strings.NewReader(large), int64(len(large))+1); err != nil || string(b.bytes) != large {
		t.Errorf("read %d of %d bytes: %v", len(b.bytes), len(large), err)
	}
	if spent := ts.readMemory.Load(); spent != int64(len(large))+1-firstRead {
		t.Errorf("charged %d bytes", spent)
	}
	if b.release(); ts.readMemory.Load() != 0 {
		t.Errorf("%d bytes are still charged", ts.readMemory.Load())
	}
}

// If a delivery has more malformed items than a store accepts in time, one dead letter
// keeps the rest. The good item is stored.
func TestManyMalformedItems(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.PublishTimeout = 10 * time.Second })
	const n = 1 << 20
	body := strings.Replace(okPostback, `"messaging":[`, `"messaging":[`+strings.Repeat("1,", n), 1)
	a := ts.post(t, []byte(body), nil)
	if want := string(counts{accepted: 1, rejected: n}.json()); a.status != 200 || a.body != want {
		t.Errorf("got %d %s, want %s", a.status, a.body, want)
	}
	got := ts.pub.taken()
	if len(got) != maxDeadLetters+2 {
		t.Fatalf("%d messages", len(got))
	}
	var d schema.DeadLetter
	if err := json.Unmarshal(got[len(got)-1].Data, &d); err != nil || d.Length != len(body) {
		t.Errorf("the last dead letter is of %d bytes: %v", d.Length, err)
	}
}
