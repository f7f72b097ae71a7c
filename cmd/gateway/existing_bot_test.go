package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

const (
	existingSecret = "an-app-secret-of-an-existing-bot"
	existingToken  = "a-secret-token"
)

// platformAPI is what a bot calls to answer.
type platformAPI struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]int // by text
}

func startAPI(t *testing.T) *platformAPI {
	t.Helper()
	api := &platformAPI{answers: make(map[string]int)}
	api.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Text    string // Telegram
			Message struct{ Text string }
		}
		_ = json.NewDecoder(r.Body).Decode(&call) // some calls have no body
		if text := call.Text + call.Message.Text; text != "" {
			api.mu.Lock()
			api.answers[text]++
			api.mu.Unlock()
		}
		_, _ = io.WriteString(w, `{"ok":true,"result":{"id":1,"is_bot":true,"first_name":"B","username":"b"}}`)
	}))
	t.Cleanup(api.Close)
	return api
}

// total returns how many texts were answered, and those that were answered more than once.
func (api *platformAPI) total() (n int, repeated []string) {
	api.mu.Lock()
	defer api.mu.Unlock()
	for text, times := range api.answers {
		if times > 1 {
			repeated = append(repeated, text)
		}
	}
	return len(api.answers), repeated
}

// nodeBot is a bot of a public framework, in a process of its own.
type nodeBot struct {
	t      *testing.T
	script string
	port   int
	env    []string
	cmd    *exec.Cmd
}

// newNodeBot skips the test where there is no Node, unless E2E=required.
func newNodeBot(t *testing.T, script string, env ...string) *nodeBot {
	t.Helper()
	modules := os.Getenv("NODE_MODULES")
	_, err := exec.LookPath("node")
	if modules == "" || err != nil {
		if os.Getenv("E2E") == "required" {
			t.Fatalf("make e2e needs node and npm: %v", err)
		}
		t.Skip("make e2e runs it with bots of public frameworks")
	}
	return &nodeBot{t: t, script: script, port: natstest.FreePort(t), env: append(env, "NODE_PATH="+modules)}
}

func (b *nodeBot) url() string { return fmt.Sprintf("http://127.0.0.1:%d", b.port) }

func (b *nodeBot) start() {
	b.t.Helper()
	b.cmd = exec.Command("node", filepath.Join("testdata", "bots", b.script))
	b.cmd.SysProcAttr = endWithTest
	b.cmd.Env = append(os.Environ(), append(b.env, fmt.Sprint("PORT=", b.port))...)
	b.cmd.Stderr = os.Stderr
	out, err := b.cmd.StdoutPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = b.cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.t.Fatalf("the bot ended: %q, %v", line, err)
	}
}

func (b *nodeBot) stop() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil {
		b.t.Fatalf("the bot: %v", err)
	}
}

// text is a person's message, with the text numbered n, as the platform delivers it.
type text func(n int) *http.Request

func messengerText(url string) text {
	return func(n int) *http.Request {
		return messengerDelivery(url, fmt.Appendf(nil, `{"object":"page","entry":[{"id":"PAGE%d","time":%d,"messaging":[{"sender":{"id":"U%d"},"recipient":{"id":"PAGE"},`+
			`"timestamp":%d,"message":{"mid":"m_%d","text":"text %d caf\u00e9"}}]}]}`, n%3, 1_700_000_000_000+n, n%7, 1_700_000_000_000+n, n, n))
	}
}

// messengerDelivery has both of Meta's signatures.
func messengerDelivery(url string, body []byte) *http.Request {
	r, err := simulate.Request(url, existingSecret, body)
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha1.New, []byte(existingSecret))
	mac.Write(body)
	r.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

func telegramText(url string) text {
	return func(n int) *http.Request {
		body := fmt.Appendf(nil, `{"update_id":%d,"message":{"message_id":%d,"date":1700000000,"from":{"id":7,"is_bot":false,"first_name":"A"},`+
			`"chat":{"id":7,"type":"private"},"text":"text %d"}}`, n+1, n+1, n)
		r, err := http.NewRequest(http.MethodPost, url+"/webhooks/telegram/shop_bot", bytes.NewReader(body))
		if err != nil {
			panic(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Telegram-Bot-Api-Secret-Token", existingToken)
		return r
	}
}

// deliver posts texts at a rate until stop is closed. It returns how many there were. The
// platform gets a 200 for each, also while the bot is away.
func deliver(t *testing.T, next text, stop <-chan struct{}) (n int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ; ; n++ {
		select {
		case <-stop:
			return n
		case <-tick.C:
		}
		response, err := http.DefaultClient.Do(next(n))
		if err != nil {
			t.Error(err)
			return n
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("answered %d", response.StatusCode)
		}
	}
}

// awayTime is how long the bot is stopped: E2E_AWAY, or a few seconds.
func awayTime(t *testing.T) time.Duration {
	if text := os.Getenv("E2E_AWAY"); text != "" {
		away, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return away
	}
	return 5 * time.Second
}

// away stops the bot for a while under load and checks that it has answered every text
// exactly once in the end.
func away(t *testing.T, b *nodeBot, api *platformAPI, g *gatewayProcess, next text) {
	t.Helper()
	stop, sent := make(chan struct{}), make(chan int)
	go func() { sent <- deliver(t, next, stop) }()
	atLeast := func(n int) func() bool {
		return func() bool { got, _ := api.total(); return got >= n }
	}
	natstest.Eventually(t, "the bot answers", atLeast(20))
	b.stop()
	before, _ := api.total()
	<-time.After(awayTime(t)) // what is tested: nothing happens meanwhile
	if status, text := g.get(g.at.Admin + "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz answers %d while the bot is away: %s", status, text)
	}
	b.start()
	natstest.Eventually(t, "the bot answers again", atLeast(before+1))
	close(stop)
	n := <-sent
	// The pause before the next attempt is up to the time for which the bot was away.
	deadline := time.Now().Add(awayTime(t) + time.Minute)
	for got, _ := api.total(); got < n && time.Now().Before(deadline); got, _ = api.total() {
		<-time.After(50 * time.Millisecond)
	}
	got, repeated := api.total()
	if got != n || len(repeated) > 0 {
		t.Errorf("%d of %d texts were answered; more than once: %v", got, n, repeated)
	}
	t.Logf("%d texts", n)
}

// TestExistingMessengerBot puts an unmodified bot behind the gateway with two settings.
func TestExistingMessengerBot(t *testing.T) {
	api := startAPI(t)
	b := newNodeBot(t, "messenger.js", "APP_SECRET="+existingSecret, "GRAPH_URL="+api.URL+"/")
	b.start()
	g := startGateway(t, t.TempDir(), "GATEWAY_META_APP_SECRETS="+existingSecret, "GATEWAY_FORWARD=meta="+b.url()+"/")
	away(t, b, api, g, messengerText(g.at.Webhook))
	click := messengerDelivery(g.at.Webhook, []byte(`{"object":"page","entry":[{"id":"PAGE","messaging":[{"sender":{"id":"U"},`+
		`"recipient":{"id":"PAGE"},"timestamp":1700000000000,"postback":{"mid":"m_click","title":"T","payload":"plan:pro"}}]}]}`))
	if _, body := g.do(click); !strings.Contains(body, `"accepted":1`) {
		t.Errorf("the click: %s", body)
	}
}

func TestExistingTelegramBot(t *testing.T) {
	api := startAPI(t)
	b := newNodeBot(t, "telegraf.js", "API_ROOT="+api.URL, "SECRET_TOKEN="+existingToken)
	b.start()
	g := startGateway(t, t.TempDir(), "GATEWAY_TELEGRAM_SECRETS=shop_bot:"+existingToken, "GATEWAY_FORWARD=telegram/shop_bot="+b.url()+"/telegraf")
	away(t, b, api, g, telegramText(g.at.Webhook))
}

// TestBotThatAnswersInTheResponse: the log says that Telegram does not get the answer.
func TestBotThatAnswersInTheResponse(t *testing.T) {
	api := startAPI(t)
	b := newNodeBot(t, "telegraf.js", "API_ROOT="+api.URL, "SECRET_TOKEN="+existingToken, "WEBHOOK_REPLY=true")
	b.start()
	g := startGateway(t, t.TempDir(), "GATEWAY_TELEGRAM_SECRETS=shop_bot:"+existingToken, "GATEWAY_FORWARD=telegram/shop_bot="+b.url()+"/telegraf")
	g.do(telegramText(g.at.Webhook)(1))
	natstest.Eventually(t, "the update is forwarded", func() bool {
		_, metrics := g.get(g.at.Admin + "/metrics")
		return strings.Contains(metrics, `gateway_forwarded_deliveries_total{outcome="forwarded",webhook="telegram/shop_bot"} 1`)
	})
	g.terminate()
	if !strings.Contains(g.log.String(), "docs/existing-bot.md") {
		t.Errorf("the log: %s", g.log)
	}
}
