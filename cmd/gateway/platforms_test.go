package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// TestTelegramEndToEnd: a bot whose token is being changed, with its secrets in a
// file, through the real process to a real consumer.
func TestTelegramEndToEnd(t *testing.T) {
	secrets := filepath.Join(t.TempDir(), "telegram")
	if err := os.WriteFile(secrets, []byte("shop_bot:old,other:x,shop_bot:new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startGateway(t, t.TempDir(), "GATEWAY_TELEGRAM_SECRETS_FILE="+secrets)
	events := consume(t, p.at.NATS, "POSTBACKS")
	post := func(bot, token string, update []byte) (int, string) {
		r, err := simulate.TelegramRequest(p.at.Webhook, bot, token, update)
		if err != nil {
			t.Fatal(err)
		}
		return p.do(r)
	}
	update := simulate.Telegram(simulate.Click{User: "9007199254740993", Title: "Größe", Payload: "plan:pro", ID: "77"})
	status, body := post("shop_bot", "old", update)
	wantAnswer(t, status, body, `{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`)
	status, body = post("shop_bot", "new", update)
	wantAnswer(t, status, body, `{"accepted":0,"duplicates":1,"ignored":0,"rejected":0}`)
	subject, e, m := events.event()
	if subject != "postback.v1.telegram.shop_bot.plan.pro" || m.Headers().Get("Nats-Msg-Id") != "telegram:shop_bot:77" ||
		e.Data.User.ID != "9007199254740993" || e.Data.Kind != schema.KindInlineButton || e.Data.Title != "Größe" {
		t.Errorf("got %s %+v", subject, e)
	}
	for bot, want := range map[string]int{"shop_bot": http.StatusUnauthorized, "other": http.StatusUnauthorized, "unknown": http.StatusNotFound} {
		if status, body := post(bot, "wrong", update); status != want {
			t.Errorf("%s: answered %d %s, want %d", bot, status, body, want)
		}
	}
	_, text := p.get(p.at.Admin + "/metrics")
	for _, want := range []string{
		`gateway_signature_verified_total{platform="telegram",secret="1"} 1`, `gateway_signature_verified_total{platform="telegram",secret="3"} 1`,
		`gateway_signature_failures_total{platform="telegram",reason="mismatch"} 2`,
		`gateway_http_requests_total{code="200",handler="telegram"} 2`, `gateway_http_requests_total{code="404",handler="not_found"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	p.terminate()
}

// TestWhatsAppEndToEnd: several messages of one change, of which one is ill.
func TestWhatsAppEndToEnd(t *testing.T) {
	p := startGateway(t, t.TempDir())
	events, letters := consume(t, p.at.NATS, "POSTBACKS"), consume(t, p.at.NATS, "POSTBACKS_DEADLETTER")
	delivery := simulate.WhatsApp(
		simulate.Click{Kind: schema.KindList, Account: "1", User: "44", Payload: "ship:fast", ID: "wamid.1"},
		simulate.Click{Kind: schema.KindList, Account: "1", User: "44", Payload: "ship:slow", ID: strings.Repeat("x", 256)},
		simulate.Click{Kind: schema.KindList, Account: "1", User: "45", Payload: "ship:never", ID: "wamid.3"},
	)
	status, body := p.post(p.secret(), delivery)
	wantAnswer(t, status, body, `{"accepted":2,"duplicates":0,"ignored":0,"rejected":1}`)
	for _, want := range []string{"fast", "never"} {
		if subject, e, _ := events.event(); subject != "postback.v1.whatsapp.1.ship."+want || e.Data.Kind != schema.KindList || e.Data.Description == "" {
			t.Errorf("got %s %+v, want %s", subject, e, want)
		}
	}
	if m := letters.next(); m.Subject() != "deadletter.postback.v1.whatsapp.malformed_item" {
		t.Errorf("dead letter on %s", m.Subject())
	}
	p.terminate()
}

// TestTelegramAnswer: the response to a callback stops the spinner, also when it is
// delivered again.
func TestTelegramAnswer(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_TELEGRAM_SECRETS=shop_bot:token", "GATEWAY_TELEGRAM_ANSWER=true")
	for range 2 {
		r, err := simulate.TelegramRequest(p.at.Webhook, "shop_bot", "token", simulate.Telegram(simulate.Click{User: "1", Payload: "plan:pro", ID: "77"}))
		if err != nil {
			t.Fatal(err)
		}
		status, body := p.do(r)
		wantAnswer(t, status, body, `{"method":"answerCallbackQuery","callback_query_id":"77"}`)
	}
}
