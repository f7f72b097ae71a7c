package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// endpoint is a service without NATS.
type endpoint struct {
	mu      sync.Mutex
	got     []string // payloads that were accepted
	refuses int      // deliveries, before the first is accepted
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if r.Header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	if e.refuses--; e.refuses >= 0 {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
		return
	}
	var event schema.Event
	if json.Unmarshal(body, &event) == nil {
		e.got = append(e.got, event.Data.Payload.Raw)
	}
	w.WriteHeader(http.StatusAccepted)
}

func (e *endpoint) accepted() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.got, " ")
}

// TestForward: events arrive in order although the endpoint refuses at first, and after
// a restart a durable consumer goes on where it was.
func TestForward(t *testing.T) {
	p := startGateway(t, t.TempDir())
	press := func(payload string) {
		if status, text := p.post(p.secret(), simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: payload})); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	e := &endpoint{refuses: 2}
	site := httptest.NewServer(e)
	t.Cleanup(site.Close)
	press("plan:1")
	press("rate:5")
	press("plan:2")
	stop := p.background("forward", "--to", site.URL+"/clicks", "plan", "--durable", "bot", "--since", "1h")
	natstest.Eventually(t, "stored events arrive", func() bool { return e.accepted() == "plan:1 plan:2" })
	press("plan:3")
	natstest.Eventually(t, "new events arrive", func() bool { return e.accepted() == "plan:1 plan:2 plan:3" })
	stop()
	press("plan:4")
	stop = p.background("forward", "--to", site.URL+"/clicks", "plan", "--durable", "bot", "--json")
	natstest.Eventually(t, "it goes on", func() bool { return e.accepted() == "plan:1 plan:2 plan:3 plan:4" })
	if out := stop(); !strings.Contains(out, `"subject":"postback.v1.messenger.1.plan.4"`) || !strings.Contains(out, `"status":202,"attempts":1}`) {
		t.Errorf("printed %s", out)
	}
	stop = p.background("forward", "--to", site.URL, "--since", "1h")
	natstest.Eventually(t, "all events come without a durable consumer", func() bool { return strings.HasSuffix(e.accepted(), " plan:1 rate:5 plan:2 plan:3 plan:4") })
	stop()
	for args, want := range map[string]string{
		"forward plan":                        `gateway: --to "": expected an address like http://127.0.0.1:3000/clicks (see gateway forward --help)`,
		"forward --to " + site.URL + " a.*.b": "no event can match",
	} {
		if text, status := p.run(strings.Fields(args)...); status == exitDone || !strings.Contains(text, want) {
			t.Errorf("%s: status %d %s", args, status, text)
		}
	}
	p.terminate()
}

// background starts another command of the binary. stop ends it in order and returns
// what it has printed.
func (p *gatewayProcess) background(args ...string) (stop func() string) {
	p.t.Helper()
	cmd := exec.CommandContext(context.Background(), p.cmd.Path, args...)
	cmd.Dir = p.dir
	cmd.Env = append(p.cmd.Env, "GATEWAY_EMBEDDED_LISTEN="+strings.TrimPrefix(p.at.NATS, "nats://"))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	stopped := false
	stop = func() string {
		if stopped {
			return ""
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("%s ended with %v: %s", args, err, &out)
		}
		return out.String()
	}
	p.t.Cleanup(func() {
		if !stopped {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return stop
}
