package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/schema"
)

var testSubjects = schema.Subjects{Root: "postback.v1"}

const (
	testSecret = "an-app-secret"
	testBot    = "shop_bot"
	testToken  = "a-bot-token"
)

type testConsole struct {
	*testing.T
	*httptest.Server
	console  *Console
	webhooks *ingest.Server
	store    publish.Config
	streams  *monitor.Monitor
	ring     *Ring
	log      *natstest.Log
}

func newTestConsole(t *testing.T) *testConsole {
	t.Helper()
	c := &testConsole{T: t, ring: NewRing(testSubjects), log: new(natstest.Log), store: publishtest.EmbeddedConfig(t)}
	c.store.StoreOther = true
	metrics := prometheus.NewRegistry()
	publisher, _ := publishtest.OpenWith(t, c.store, metrics)
	c.streams = publisher.Monitor()
	var err error
	c.webhooks, err = ingest.New(ingest.Config{
		Secrets: ingest.Secrets{MetaAppSecrets: []string{testSecret}, MetaVerifyToken: "a-verify-token",
			TelegramSecrets: []ingest.TelegramSecret{{Bot: testBot, Token: testToken}}},
		MaxBodyBytes: 1 << 20, MaxInFlight: 8, PublishTimeout: natstest.Patience, LabelLimit: 10, Observer: c.ring, StoreOther: true,
	}, publisher, slog.New(slog.DiscardHandler), metrics)
	if err != nil {
		t.Fatal(err)
	}
	console := New(c.ring, Config{
		Version: "v", Log: slog.New(slog.NewTextHandler(c.log, nil)), Metrics: metrics,
		Ready: publisher.Ready, Activity: c.webhooks.Activity, Consumers: c.streams, Report: c.report, Subjects: testSubjects, Stream: "POSTBACKS",
		Webhook: "http://gateway", VerifyToken: "data/verify-token", Post: c.webhooks,
		Bots: func() []string { return []string{testBot} },
		Replay: &replay.Gateway{
			Link: c.streams.Conn.Link, Streams: c.streams.Streams.Settings, GivenUp: c.streams.GivenUpCounts,
			Parse: c.webhooks.ParseAgain, Publish: publisher.Publish, Limit: func() (int, error) { return 1 << 20, nil },
		},
		Secret: func(platform, _ string) (string, error) {
			if platform == schema.Telegram {
				return testToken, nil
			}
			return testSecret, nil
		},
	})
	c.console, c.Server = console, httptest.NewServer(console)
	t.Cleanup(func() {
		c.Close()
		if err := console.Close(publishtest.Deadline(t, 20*time.Second)); err != nil {
			t.Error(err)
		}
	})
	return c
}

// report is what the gateway's own would be for its consumers.
func (c *testConsole) report(ctx context.Context) doctor.Report {
	s := doctor.Status{Now: time.Now(), Ready: true, Received: c.webhooks.Activity()}
	s.Consumers, _ = c.streams.ConsumerStates(ctx)
	s.GivenUp, _ = c.streams.GivenUpCounts(ctx)
	s.Unclaimed, _ = c.streams.Unclaimed(ctx, time.Now().Add(-time.Hour))
	return doctor.Diagnose(s)
}

// consumer creates a consumer of the events with a prefix; of all without one.
func (c *testConsole) consumer(name, prefix string) jetstream.Consumer {
	c.Helper()
	cfg := jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy}
	if prefix != "" {
		cfg.FilterSubject = "postback.v1.*.*." + prefix + ".>"
	}
	consumer, err := natstest.JetStream(c.T, "", publishtest.InProcess(c.store)).CreateConsumer(c.T.Context(), "POSTBACKS", cfg)
	if err != nil {
		c.Fatal(err)
	}
	return consumer
}

func (c *testConsole) deliver(secret string, body []byte) {
	c.Helper()
	request, err := simulate.Request("http://gateway", secret, body)
	if err != nil {
		c.Fatal(err)
	}
	c.webhooks.ServeHTTP(httptest.NewRecorder(), request)
}

// click delivers a click of Messenger.
func (c *testConsole) click(user, payload, title string) {
	c.Helper()
	c.deliver(testSecret, simulate.Messenger(simulate.Click{Account: "17", User: user, Payload: payload, Title: title}))
}

// delivery returns the path of a delivery; 0 is the first that the ring has.
func (c *testConsole) delivery(at int) string {
	c.Helper()
	records, _ := c.ring.after(0)
	if at >= len(records) {
		c.Fatalf("the ring has %d deliveries, expected more than %d", len(records), at)
	}
	return fmt.Sprintf("/api/deliveries/%d", records[at].Seq)
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
	for _, path := range []string{"/api/deliveries/1/reveal", "/api/clicks/titles", "/api/person", "/api/try/preview", "/api/try/send", "/api/fix/dead-letters", "/api/fix/dead-letters/1/reveal", "/api/fix/consumer"} {
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
	if c.log.String() != "" {
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
	for at := range 3 {
		_, detail := c.do("GET", c.delivery(at), "")
		_, revealed := c.act(c.delivery(at)+"/reveal", "{}")
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
	_, detail := c.do("GET", c.delivery(0), "")
	records, _ := c.ring.after(0)
	text := detail + string(records[0].row)
	if strings.Contains(text, "47110815") || strings.Contains(text, "Enterprise") || !strings.Contains(text, "postback.v1.messenger.17.plan.pro") {
		t.Error(text)
	}
	_, person := c.act("/api/person", `{"id":"47110815"}`)
	if !strings.Contains(person, records[0].Persons[0]) {
		t.Errorf("the search finds nobody: %s, %v", person, records[0].Persons)
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

// TestStatusHasFindings: the strip has what the doctor finds, what the webhooks received,
// and which deliveries are marked.
func TestStatusHasFindings(t *testing.T) {
	c := newTestConsole(t)
	defer c.ring.Watch()()
	c.consumer("billing", "plan")
	c.click("1", "help", "Help")
	c.deliver("another-secret", simulate.Messenger(simulate.Click{Account: "17", User: "1", Payload: "help"}))
	c.deliver(testSecret, []byte(`{"object":"page","entry":[{"id":"17","messaging":[{"sender":{"id":"1"},"recipient":{"id":"17"},"timestamp":1,"message":{"mid":"m","text":"hello"}}]}]}`))
	var s status
	// The first page does not wait for a report of a slow machine.
	natstest.Eventually(t, "the subject that nobody asks for is found", func() bool {
		_, text := c.do("GET", "/api/page", "")
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(s.Findings, func(f doctor.Finding) bool { return f.Code == doctor.CodeUnclaimed })
	})
	if len(s.Webhooks) != 1 || s.Webhooks[0].Rejections != 1 {
		t.Errorf("%+v", s)
	}
	records, _ := c.ring.after(0)
	last := records[len(records)-1]
	if last.Others != 1 || last.Text != "message" || records[0].Others != 0 {
		t.Errorf("the other item is not marked: %+v", last.summary)
	}
}

// TestPageWeighsLittle: everything that is embedded, as a browser receives it, whether or
// not a view loads it.
func TestPageWeighsLittle(t *testing.T) {
	server := httptest.NewServer(Assets())
	defer server.Close()
	total := 0
	err := fs.WalkDir(page(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		request, err := http.NewRequest(http.MethodGet, server.URL+"/"+path, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := server.Client().Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		total += len(body)
		return err
	})
	if err != nil || total > 150_000 || total < 30_000 {
		t.Errorf("%d bytes, %v", total, err)
	}
	t.Logf("%d bytes", total)
}
