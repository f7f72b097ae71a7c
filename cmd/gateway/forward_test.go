package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// countingBot counts how often it gets each body.
type countingBot struct {
	*httptest.Server
	mu  sync.Mutex
	got map[string]int
}

func startCountingBot(t *testing.T) *countingBot {
	t.Helper()
	b := &countingBot{got: make(map[string]int)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the gateway was killed
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got[string(body)]++
	}))
	t.Cleanup(b.Close)
	return b
}

// counts returns how many bodies have come, and how many came again.
func (b *countingBot) counts() (n, again int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, times := range b.got {
		again += times - 1
	}
	return len(b.got), again
}

// forwardText is a text on one of five pages.
func forwardText(n int) []byte {
	return fmt.Appendf(nil, `{"object":"page","entry":[{"id":"%d","messaging":[{"sender":{"id":"U"},"recipient":{"id":"%d"},"timestamp":%d,`+
		`"message":{"mid":"m_%d","text":"hello"}}]}]}`, n%5, n%5, 1_700_000_000_000+n, n)
}

// deliverUntilStored repeats a delivery until it is answered 200, as a platform does.
func deliverUntilStored(t *testing.T, url, secret string, body []byte) {
	t.Helper()
	eventually(t, "the delivery is answered 200", func() bool {
		r, err := simulate.Request(url, secret, body)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// TestForwardAfterKill kills the gateway (kill -9) under load. The bot gets every delivery
// that was answered 200; one can come again only if it was being posted, or had not been
// answered yet, when the gateway was killed.
func TestForwardAfterKill(t *testing.T) {
	const kills, rounds = 3, 60
	b := startCountingBot(t)
	dir, listen := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))
	start := func() *gatewayProcess {
		return startGateway(t, dir, "GATEWAY_LOG_LEVEL=info", "GATEWAY_LISTEN="+listen, "GATEWAY_FORWARD=meta="+b.URL)
	}
	p := start()
	secret, url := p.secret(), p.at.Webhook
	var senders sync.WaitGroup
	for sender := range 5 {
		senders.Go(func() {
			for i := range kills * rounds {
				deliverUntilStored(t, url, secret, forwardText(5*i+sender))
			}
		})
	}
	for k := range kills {
		eventually(t, "deliveries are forwarded", func() bool { n, _ := b.counts(); return n >= (k+1)*rounds })
		p.kill()
		p = start()
	}
	senders.Wait()
	eventually(t, "everything is forwarded", func() bool {
		_, metrics := p.get(p.at.Admin + "/metrics")
		n, _ := b.counts()
		return n == 5*kills*rounds && strings.Contains(metrics, `gateway_forward_pending_deliveries{webhook="meta"} 0`)
	})
	if _, again := b.counts(); again > kills*5*2 {
		t.Errorf("%d deliveries came again after %d kills of 5 that were posted and 5 that were stored", again, kills)
	}
	p.terminate()
}

// TestForwardInEveryMode: with a cluster gateways share the work, and with a relay the
// gateway forwards what it has stored itself, also while the cluster is away.
func TestForwardInEveryMode(t *testing.T) {
	t.Run("two gateways on a server", func(t *testing.T) {
		b, server := startCountingBot(t), natstest.Start(t, "")
		env := "GATEWAY_FORWARD=meta=" + b.URL
		first, second := startOn(t, server.URL(), env), startOn(t, server.URL(), env)
		for i := range 100 {
			deliverUntilStored(t, []*gatewayProcess{first, second}[i%2].at.Webhook, "s", forwardText(i))
		}
		eventually(t, "everything is forwarded", func() bool { n, _ := b.counts(); return n == 100 })
		first.terminate()
		second.terminate()
		if _, again := b.counts(); again > 0 {
			t.Errorf("%d deliveries came twice", again)
		}
	})
	t.Run("relay", func(t *testing.T) {
		b := startCountingBot(t)
		p := startGateway(t, t.TempDir(), "GATEWAY_NATS_URL=nats://127.0.0.1:1", "GATEWAY_RELAY=true", "GATEWAY_FORWARD=meta="+b.URL)
		deliverUntilStored(t, p.at.Webhook, p.secret(), forwardText(1))
		eventually(t, "it is forwarded", func() bool { n, _ := b.counts(); return n == 1 })
	})
}

// TestStoreOther: an item that is not a click is an event on a subject of its own.
func TestStoreOther(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_STORE_OTHER=true")
	if status, text := p.post(p.secret(), forwardText(1)); status != http.StatusOK || !strings.Contains(text, `"accepted":1`) {
		t.Fatalf("answered %d %s", status, text)
	}
	c := consume(t, p.at.NATS, "POSTBACKS_OTHER")
	subject, e, _ := c.event()
	if subject != "other.postback.v1.messenger.1.message" || e.Type != "postback.other.v1" || e.Data.What != "message" || len(e.Data.Raw) == 0 {
		t.Errorf("%s: %+v", subject, e)
	}
	if _, metrics := p.get(p.at.Admin + "/metrics"); !strings.Contains(metrics, `gateway_events_total{kind="other",outcome="stored",platform="messenger"} 1`) {
		t.Error("the item is not counted as stored with kind other")
	}
	p.terminate()
}

// TestHealthPath: the public listener tells whether deliveries are accepted, and no more.
func TestHealthPath(t *testing.T) {
	server := natstest.Start(t, "")
	p := startOn(t, server.URL(), "GATEWAY_HEALTH_PATH=/health", "GATEWAY_PUBLISH_TIMEOUT=500ms")
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405} {
		r, err := http.NewRequest(method, p.at.Webhook+"/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := p.do(r); status != want {
			t.Errorf("%s: %d, want %d", method, status, want)
		}
	}
	server.Kill()
	start := time.Now()
	eventually(t, "the health path answers 503", func() bool {
		status, text := p.get(p.at.Webhook + "/health")
		return status == http.StatusServiceUnavailable && text == "not ready\n"
	})
	t.Logf("after %s", time.Since(start).Round(time.Millisecond))
}
