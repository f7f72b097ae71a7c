package examples

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// call is what a bot asked of Telegram.
type call struct {
	path string
	body map[string]any
}

// telegram is Telegram's Bot API for one test.
func telegram(t *testing.T) (url string, calls chan call) {
	t.Helper()
	calls = make(chan call, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := call{path: r.URL.Path}
		if err := json.NewDecoder(r.Body).Decode(&c.body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		calls <- c
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

func next(t *testing.T, calls chan call, method string) map[string]any {
	t.Helper()
	select {
	case c := <-calls:
		if c.path != "/botTOKEN/"+method {
			t.Fatalf("the bot called %s, expected %s", c.path, method)
		}
		return c.body
	case <-time.After(patience):
		t.Fatalf("no %s within %v", method, patience)
		return nil
	}
}

// TestBot: the bot of the guide shows buttons and answers a tap, also one from while
// it was not running.
func TestBot(t *testing.T) {
	for language, command := range languages {
		if language == "python" {
			continue // the guide has none
		}
		t.Run(language, func(t *testing.T) {
			dir := t.TempDir()
			args := command(t, dir, "bot")
			secrets := "GATEWAY_TELEGRAM_SECRETS=shop_bot:secret"
			g := startGateway(t, secrets)
			url, calls := telegram(t)
			run := func() *process {
				p := start(t, dir, []string{"NATS_URL=" + g.NATS, "TELEGRAM_API=" + url, "TELEGRAM_TOKEN=TOKEN"}, args[0], args[1:]...)
				p.expect("ready")
				return p
			}
			press := func(payload string) {
				output(t, g.dir, []string{secrets}, program(t, "gateway"), "send", "--url", g.Webhook, "--platform", "telegram", "--user", "7", "--payload", payload)
			}
			bot := run()
			press("/start")
			if question := next(t, calls, "sendMessage"); question["chat_id"] != "7" || question["reply_markup"] == nil {
				t.Errorf("got %v", question)
			}
			press("plan:pro")
			if next(t, calls, "answerCallbackQuery")["callback_query_id"] == "" {
				t.Error("no callback_query_id")
			}
			if text, _ := next(t, calls, "sendMessage")["text"].(string); !strings.Contains(text, "pro") {
				t.Errorf("got %q", text)
			}
			g.acknowledged(map[string]string{"go": "shop-bot-go", "node": "shop-bot"}[language])
			bot.kill()
			press("plan:basic")
			bot = run()
			next(t, calls, "answerCallbackQuery")
			if text, _ := next(t, calls, "sendMessage")["text"].(string); !strings.Contains(text, "basic") {
				t.Errorf("got %q", text)
			}
			bot.stop()
		})
	}
}
