package browser

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	appSecret = "0123456789abcdef0123456789abcdef"
	botToken  = "a-secret-token"
)

// program is the gateway, built once.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if _, err := findBrowser(); err != nil {
		fmt.Println("console: NOT CHECKED,", err)
		if os.Getenv("CONSOLE") == "optional" {
			return 0
		}
		return 1
	}
	dir, err := os.MkdirTemp("", "console")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "gateway")
	build := exec.Command("go", "build", "-o", program, "./cmd/gateway")
	build.Dir = filepath.Join("..", "..", "..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("%v: %s", err, out)
		return 1
	}
	return m.Run()
}

func findBrowser() (string, error) {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && name != "" {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no browser: install Debian's package chromium, or set CHROMIUM to the path of one")
}

// gateway is a running gateway.
type gateway struct {
	t              *testing.T
	webhook, admin string
	nats           string
	dir            string
	stop           func()

	mu  sync.Mutex
	log bytes.Buffer
}

// startGateway runs the gateway on free ports until the test ends. env has further settings.
func startGateway(t *testing.T, env ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir()}
	cmd := exec.Command(program)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "GATEWAY_LISTEN=127.0.0.1:0", "GATEWAY_ADMIN_LISTEN=127.0.0.1:0", "GATEWAY_EMBEDDED_LISTEN=127.0.0.1:0",
		"GATEWAY_META_APP_SECRETS="+appSecret, "GATEWAY_META_VERIFY_TOKEN=a-verify-token", "GATEWAY_TELEGRAM_SECRETS=shop_bot:"+botToken,
		"GATEWAY_LOG_FORMAT=json", "GATEWAY_LOG_LEVEL=info")
	cmd.Env = append(cmd.Env, env...)
	lines, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	g.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("the gateway: %v\n%s", err, g.logged())
		}
	})
	t.Cleanup(g.stop)
	up := make(chan map[string]string, 1)
	go func() {
		defer close(read)
		g.read(lines, up)
	}()
	select {
	case at := <-up:
		g.webhook, g.admin, g.nats = at["webhook"], at["admin"], at["nats"]
	case <-time.After(20 * time.Second):
		t.Fatalf("the gateway did not start:\n%s", g.logged())
	}
	return g
}

func (g *gateway) read(lines io.Reader, up chan<- map[string]string) {
	for s := bufio.NewScanner(lines); s.Scan(); {
		g.mu.Lock()
		g.log.Write(append(s.Bytes(), '\n'))
		g.mu.Unlock()
		var line struct{ Msg, Webhook, Admin, NATS string }
		if json.Unmarshal(s.Bytes(), &line) == nil && line.Msg == "gateway is up" {
			up <- map[string]string{"webhook": line.Webhook, "admin": line.Admin, "nats": line.NATS}
		}
	}
}

func (g *gateway) logged() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

// post delivers a body to Meta's webhook, and returns the status.
func (g *gateway) post(secret, body string) int {
	g.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return g.request("/webhooks/meta", body, "X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

func (g *gateway) request(path, body string, header ...string) int {
	g.t.Helper()
	r, err := http.NewRequest(http.MethodPost, g.webhook+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "facebookexternalua")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// consumer creates a durable consumer of the events with a prefix; of all without one.
func (g *gateway) consumer(name, prefix string) jetstream.Consumer {
	g.t.Helper()
	nc, err := nats.Connect(g.nats)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		g.t.Fatal(err)
	}
	cfg := jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy}
	if prefix != "" {
		cfg.FilterSubject = "postback.v1.*.*." + prefix + ".>"
	}
	c, err := js.CreateConsumer(g.t.Context(), "POSTBACKS", cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// ack acknowledges the next events of a consumer.
func (g *gateway) ack(c jetstream.Consumer, events int) {
	g.t.Helper()
	for range events {
		m, err := c.Next()
		if err != nil {
			g.t.Fatal(err)
		}
		if err := m.DoubleAck(g.t.Context()); err != nil {
			g.t.Fatal(err)
		}
	}
}

const (
	testUser = "1254459154682919"
	testPage = "682498171943165"
)

var clicks int

// click is a delivery of Messenger with one click.
func click(payload, title string) string { return clickOf(testUser, payload, title) }

func clickOf(user, payload, title string) string {
	clicks++
	text, err := json.Marshal(map[string]any{"object": "page", "entry": []any{map[string]any{
		"id": testPage, "time": time.Now().UnixMilli(), "messaging": []any{map[string]any{
			"sender": map[string]any{"id": user}, "recipient": map[string]any{"id": testPage}, "timestamp": time.Now().UnixMilli(),
			"postback": map[string]any{"mid": fmt.Sprintf("m_%d_%d", os.Getpid(), clicks), "title": title, "payload": payload},
		}}}}})
	if err != nil {
		panic(err) // only texts and numbers
	}
	return string(text)
}
