package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/schema"
)

const (
	testSecret = "an-app-secret"
	testBot    = "shop_bot"
	testToken  = "a-bot-token"
)

// stored is a Publisher that stores everything.
type stored struct{}

func (stored) Publish(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
	outcomes := make([]schema.Outcome, len(items))
	for i := range items {
		if outcomes[i] = schema.Stored; items[i].Event == nil {
			outcomes[i] = schema.Rejected
		}
	}
	return outcomes, nil
}

type testConsole struct {
	*testing.T
	*httptest.Server
	webhooks *ingest.Server
	ring     *Ring
	log      *bytes.Buffer
}

func newTestConsole(t *testing.T) *testConsole {
	t.Helper()
	c := &testConsole{T: t, ring: NewRing(schema.Subjects{Root: "postback.v1"}), log: new(bytes.Buffer)}
	metrics := prometheus.NewRegistry()
	var err error
	c.webhooks, err = ingest.New(ingest.Config{
		Secrets: ingest.Secrets{MetaAppSecrets: []string{testSecret}, MetaVerifyToken: "a-verify-token",
			TelegramSecrets: []ingest.TelegramSecret{{Bot: testBot, Token: testToken}}},
		MaxBodyBytes: 1 << 20, MaxInFlight: 8, PublishTimeout: time.Second, LabelLimit: 10, Observer: c.ring,
	}, stored{}, slog.New(slog.DiscardHandler), metrics)
	if err != nil {
		t.Fatal(err)
	}
	c.Server = httptest.NewServer(New(c.ring, Config{
		Version: "v", Log: slog.New(slog.NewTextHandler(c.log, nil)), Metrics: metrics,
		Ready: func(context.Context) error { return nil }, Subjects: schema.Subjects{Root: "postback.v1"}, Stream: "POSTBACKS",
		Webhook: "http://gateway", VerifyToken: "data/verify-token", Post: c.webhooks,
		Bots:   func() []string { return []string{testBot} },
		Replay: &replay.Gateway{Link: func() (*natsconn.Link, error) { return nil, errors.New("there is no store in this test") }},
		Secret: func(platform, _ string) (string, error) {
			if platform == schema.Telegram {
				return testToken, nil
			}
			return testSecret, nil
		},
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *testConsole) deliver(secret string, body []byte) {
	c.Helper()
	request, err := simulate.Request("http://gateway", secret, body)
	if err != nil {
		c.Fatal(err)
	}
	c.webhooks.ServeHTTP(httptest.NewRecorder(), request)
}

func (c *testConsole) do(method, path, body string, headers ...string) (int, string) {
	c.Helper()
	request, err := http.NewRequest(method, c.URL+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (c *testConsole) act(path, body string) (int, string) {
	c.Helper()
	return c.do("POST", path, body, "Content-Type", "application/json", "X-Gateway-Action", "test")
}

// TestActions: only the page itself can act; nothing happens without its header.
func TestActions(t *testing.T) {
	c := newTestConsole(t)
	for _, path := range []string{"/api/deliveries/1/reveal", "/api/person", "/api/try/preview", "/api/try/send", "/api/fix/dead-letters", "/api/fix/dead-letters/1/reveal", "/api/fix/consumer"} {
		if status, body := c.do("POST", path, "{}", "Content-Type", "application/json"); status != 403 || !strings.Contains(body, "X-Gateway-Action") {
			t.Errorf("%s without the header: %d %s", path, status, body)
		}
		if status, _ := c.do("POST", path, "{}", "Content-Type", "text/plain", "X-Gateway-Action", "x"); status != 415 {
			t.Errorf("%s as a form sends it: %d", path, status)
		}
		if status, _ := c.do("GET", path, ""); status != 405 {
			t.Errorf("GET %s: %d", path, status)
		}
		if status, _ := c.act(path, strings.Repeat(" ", maxActionBody+1)+"{}"); status/100 != 4 {
			t.Errorf("%s with a large body: %d", path, status)
		}
	}
	if c.log.Len() > 0 {
		t.Errorf("something was done: %s", c.log)
	}
}

// TestNoSecrets: no answer has a secret, however much is revealed.
func TestNoSecrets(t *testing.T) {
	c := newTestConsole(t)
	defer c.ring.Watch()()
	optin := simulate.Messenger(simulate.Click{Kind: schema.KindOptin, Account: "17", User: "4711", Title: "Weekly", Payload: "news:weekly"})
	var sent struct {
		Entry []struct {
			Messaging []struct {
				Optin struct {
					Token string `json:"notification_messages_token"`
				}
			}
		}
	}
	if err := json.Unmarshal(optin, &sent); err != nil {
		t.Fatal(err)
	}
	secret := sent.Entry[0].Messaging[0].Optin.Token
	c.deliver(testSecret, optin)
	update, err := simulate.TelegramRequest("http://gateway", testBot, testToken, simulate.Telegram(simulate.Click{User: "815", Title: "T", Payload: "a:b"}))
	if err != nil {
		t.Fatal(err)
	}
	c.webhooks.ServeHTTP(httptest.NewRecorder(), update)
	c.webhooks.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=a-verify-token", nil))
	all := ""
	for _, seq := range []string{"1", "2", "3"} {
		_, detail := c.do("GET", "/api/deliveries/"+seq, "")
		_, revealed := c.act("/api/deliveries/"+seq+"/reveal", "{}")
		all += detail + revealed
	}
	if !strings.Contains(all, "4711") || !strings.Contains(all, "815") || !strings.Contains(all, "X-Telegram-Bot-Api-Secret-Token") || len(secret) < 10 {
		t.Fatalf("not what was delivered (%q): %s", secret, all)
	}
	_, status := c.do("GET", "/api/page", "")
	for _, text := range []string{secret, testSecret, testToken, "a-verify-token"} {
		if strings.Contains(all+status+c.log.String(), text) {
			t.Errorf("%q is shown", text)
		}
	}
	if n := strings.Count(c.log.String(), "revealed"); n != 3 {
		t.Errorf("%d lines about 3 reveals: %s", n, c.log)
	}
}

// TestMasked: without a reveal nobody can be recognized, neither in the list nor in the
// detail.
func TestMasked(t *testing.T) {
	c := newTestConsole(t)
	defer c.ring.Watch()()
	c.deliver(testSecret, simulate.Messenger(simulate.Click{Account: "17", User: "47110815", Title: "Enterprise", Payload: "plan:pro"}))
	_, detail := c.do("GET", "/api/deliveries/1", "")
	records, _ := c.ring.after(0)
	text := detail + string(records[0].json())
	if strings.Contains(text, "47110815") || strings.Contains(text, "Enterprise") || !strings.Contains(text, "postback.v1.messenger.17.plan.pro") {
		t.Error(text)
	}
	_, person := c.act("/api/person", `{"id":"47110815"}`)
	if !strings.Contains(person, records[0].Persons[0]) {
		t.Errorf("the search finds nobody: %s, %v", person, records[0].Persons)
	}
}

// TestLive: the list is sent, and what is new; the ring takes deliveries only meanwhile.
func TestLive(t *testing.T) {
	c := newTestConsole(t)
	click := func(payload string) {
		c.deliver(testSecret, simulate.Messenger(simulate.Click{Account: "17", User: "1", Payload: payload}))
	}
	click("before")
	response, err := http.Get(c.URL + "/api/deliveries/live")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
				return data
			}
		}
		t.Fatal(lines.Err())
		return ""
	}
	if first := next(); !strings.Contains(first, `"rows":[]`) {
		t.Errorf("taken while nobody looked: %s", first)
	}
	click("after")
	if second := next(); !strings.Contains(second, `"text":"after"`) {
		t.Error(second)
	}
}

// TestPreview: what a click would become is not stored.
func TestPreview(t *testing.T) {
	c := newTestConsole(t)
	for platform, p := range simulate.Platforms {
		for _, kind := range p.Kinds {
			body, err := json.Marshal(tried{Platform: platform, Kind: string(kind), Account: p.Account, User: p.User, Title: "T", Payload: "plan:pro", Ref: "spring"})
			if err != nil {
				t.Fatal(err)
			}
			status, got := c.act("/api/try/preview", string(body))
			if status != 200 || !strings.Contains(got, `"subject":"postback.v1.`+platform+".") || !strings.Contains(got, `"problem":""`) {
				t.Errorf("%s %s: %d %s", platform, kind, status, got)
			}
		}
	}
	for _, body := range []string{`{}`, `{"platform":"messenger","kind":"list","account":"1"}`, `{"platform":"telegram","kind":"inline_button","account":"../x"}`, `[`} {
		if status, got := c.act("/api/try/preview", body); status/100 != 4 || !strings.Contains(got, "error") {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
}
