package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// page is an origin: the delivery around an item of a page.
type page string

func (p page) Envelope() schema.Envelope {
	return schema.Envelope{Before: `{"object":"page","entry":[{"id":"` + string(p) + `","messaging":[`, After: `]}]}`}
}

// rejectedOnce stores a dead letter as a gateway does whose parser does not know the item.
func rejectedOnce(t *testing.T, js jetstream.JetStream, body string) {
	t.Helper()
	item := schema.Item{Body: []byte(body), Origin: page("17"), Rejection: schema.Rejection{
		Reason: schema.ReasonMalformed, Detail: "value/postback is missing", Platform: schema.Messenger, ReceivedAt: time.Now().UTC().Truncate(time.Millisecond)}}
	m, err := item.Message(schema.Subjects{Root: "postback.v1"}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header{jetstream.MsgIDHeader: {m.ID}}}
	if _, err := js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// itemOf is a click as it stands in its delivery.
func itemOf(id, payload string) string {
	return `{"sender":{"id":"u"},"recipient":{"id":"17"},"timestamp":1700000000000,"postback":{"mid":"` + id + `","title":"T","payload":"` + payload + `"}}`
}

// checkDeadLetters replays dead letters of a gateway whose consumers read at url: one that
// is an event now, one whose event is stored, and one that is malformed still.
func (p *gatewayProcess) checkDeadLetters(url, secret string) {
	t := p.t.(*testing.T)
	t.Helper()
	js := natstest.JetStream(t, url)
	consumer := consume(t, url, "POSTBACKS")
	delivery := `{"object":"page","entry":[{"id":"17","messaging":[` + itemOf("m_known", "plan:pro") + `]}]}`
	if status, text := p.post(secret, []byte(delivery)); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, text)
	}
	for _, e, _ := consumer.event(); e.ID != "m_known"; _, e, _ = consumer.event() { // after those of before
	}
	rejectedOnce(t, js, itemOf("m_lost", "plan:free"))
	rejectedOnce(t, js, itemOf("m_known", "plan:pro"))
	rejectedOnce(t, js, `{"postback":7}`)
	text, status := p.run("replay", "deadletter.>", "--dry-run")
	for _, want := range []string{"1            malformed_item  stored     postback.v1.messenger.17.plan.free\n", "2 would be stored as events\n", "1 are malformed still and would be kept\n"} {
		if status != exitDone || !strings.Contains(text, want) {
			t.Errorf("dry run: status %d, %q is missing in\n%s", status, want, text)
		}
	}
	p.checkWidth(text)
	if text, status := p.run("replay", "deadletter.>"); status != exitFailed || !strings.Contains(text, "not replayed: expected yes") {
		t.Errorf("without an answer: status %d\n%s", status, text)
	}
	text, status = p.run("replay", "deadletter.>", "--yes", "--json")
	var done replayed
	if err := json.Unmarshal([]byte(text), &done); err != nil || status != exitDone {
		t.Fatalf("status %d, %v: %s", status, err, text)
	}
	if c := done.Counts; c["stored"] != 1 || c["duplicate"] != 1 || c["malformed"] != 1 || len(done.Letters) != 3 {
		t.Errorf("%+v", done)
	}
	subject, e, _ := consumer.event()
	if subject != "postback.v1.messenger.17.plan.free" || e.ID != "m_lost" || e.Data.User.ID != "u" {
		t.Errorf("got %s %+v", subject, e)
	}
	if text, _ := p.run("replay", "deadletter.>", "--yes"); !strings.HasSuffix(text, "\n\n1 are malformed still: kept\n") {
		t.Errorf("again:\n%s", text)
	}
	if text, _ := p.run("replay", "deadletter.>", "--yes", "--id", "nothing"); !strings.Contains(text, "no dead letter matches") {
		t.Errorf("nothing selected:\n%s", text)
	}
}

func TestReplayDeadLetters(t *testing.T) {
	t.Parallel()
	p := startGateway(t, t.TempDir())
	p.checkDeadLetters(p.at.NATS, p.secret())
	for args, want := range map[string]string{
		"deadletter.> --consumer billing": "not replayed to a consumer",
		"deadletter.> --json":             "expected --yes or --dry-run too",
	} {
		if text, status := p.run(append([]string{"replay"}, strings.Fields(args)...)...); status != exitUsage || !strings.Contains(text, want) {
			t.Errorf("replay %s: status %d\n%s", args, status, text)
		}
	}
	p.terminate()
	if !strings.Contains(p.log.String(), `"msg":"dead letters were replayed","remote":"127.0.0.1:`) || !strings.Contains(p.log.String(), `"stored":1,"duplicates":1,"forwarded":0,"kept":1`) {
		t.Errorf("no line in the log:\n%s", p.log)
	}
	if text, status := p.run("replay", "deadletter.>", "--yes"); status != exitFailed || !strings.Contains(text, "no gateway responds") {
		t.Errorf("without a gateway: status %d %s", status, text)
	}
}

// TestReplayNotForwarded: a delivery that the existing bot did not accept for too long is
// posted to it again, with the platform's headers and the bot's secret token.
func TestReplayNotForwarded(t *testing.T) {
	t.Parallel()
	var isRepaired atomic.Bool
	got := make(chan *http.Request, 10)
	bot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isRepaired.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		got <- r
	}))
	t.Cleanup(bot.Close)
	p := startGateway(t, t.TempDir(), "GATEWAY_FORWARD=telegram/shop_bot="+bot.URL, "GATEWAY_FORWARD_MAX_AGE=1s", "GATEWAY_TELEGRAM_SECRETS=shop_bot:the-token")
	click := simulate.Platforms[schema.Telegram]
	request, err := click.Request(p.at.Webhook, "the-token", simulate.Click{Kind: schema.KindInlineButton, Account: "shop_bot", User: "9", Payload: "plan:pro"})
	if err != nil {
		t.Fatal(err)
	}
	if status, text := p.do(request); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, text)
	}
	eventually(t, "it is a dead letter", func() bool {
		text, _ := p.run("replay", "deadletter.>", "--dry-run", "--json")
		return strings.Contains(text, `"forwarded":1`)
	})
	if text, _ := p.run("tail", "deadletter.>", "--no-follow", "--json"); strings.Contains(text, "the-token") || !strings.Contains(text, `"account":"shop_bot"`) {
		t.Errorf("the dead letter: %s", text)
	}
	isRepaired.Store(true)
	if text, status := p.run("replay", "deadletter.>", "--yes"); status != exitDone || !strings.Contains(text, "1 wait to be posted to the existing bot") {
		t.Fatalf("status %d\n%s", status, text)
	}
	select {
	case r := <-got:
		if r.Header.Get(schema.SecretHeader) != "the-token" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", r.Header)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the bot did not get it")
	}
	if text, _ := p.run("replay", "deadletter.>", "--dry-run"); !strings.Contains(text, "no dead letter matches") {
		t.Errorf("the dead letter is still there:\n%s", text)
	}
	p.terminate()
}
