package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// replacements are what an operator's slip does to the store of a running gateway.
var replacements = map[string]func(data string) error{
	"data directory": func(data string) error {
		entries, err := os.ReadDir(data)
		for _, e := range entries {
			err = errors.Join(err, os.RemoveAll(filepath.Join(data, e.Name())))
		}
		return err
	},
	"stream": func(data string) error {
		return os.RemoveAll(filepath.Join(data, "nats/jetstream/$G/streams/POSTBACKS"))
	},
}

// TestStoreReplaced removes the store under load. What is sent after that is not
// answered 200, in any mode, and the gateway ends with status 1.
func TestStoreReplaced(t *testing.T) {
	for _, sync := range []string{settings.SyncGroup, settings.SyncAlways, settings.SyncInterval} {
		for name, replace := range replacements {
			t.Run(sync+"/"+name, func(t *testing.T) {
				p := startGateway(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info", "GATEWAY_SYNC="+sync)
				load := startUntilReplaced(p)
				natstest.Eventually(t, "some answers", func() bool { return load.answers.Load() > 200 })
				err := replace(filepath.Join(p.dir, "data"))
				load.replaced.Store(true)
				if err != nil {
					t.Logf("removing: %v", err) // the server makes files meanwhile
				}
				p.wantStatus1("the store was replaced")
				load.clients.Wait()
				if n := load.wrong.Load(); n > 0 {
					t.Errorf("%d deliveries were answered 200 that were sent after the store was removed", n)
				}
			})
		}
	}
}

// TestStoreReplacedUnnoticed: a gateway without deliveries ends, too.
func TestStoreReplacedUnnoticed(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info")
	if err := replacements["data directory"](filepath.Join(p.dir, "data")); err != nil {
		t.Logf("removing: %v", err) // the gateway makes files meanwhile
	}
	p.wantStatus1("the store was replaced")
}

// wantStatus1 waits until the gateway ends.
func (p *gatewayProcess) wantStatus1(reason string) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Fatal("the gateway does not end within 30s")
	}
	var ended *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 1 {
		p.t.Errorf("ended with %v, want status 1", err)
	}
	p.wantLogged(reason)
}

// untilReplaced is clients that post until the gateway is gone.
type untilReplaced struct {
	clients        sync.WaitGroup
	replaced       atomic.Bool
	answers, wrong atomic.Int64 // wrong: answered 200 and sent after the replacement
}

func startUntilReplaced(p *gatewayProcess) *untilReplaced {
	l, secret := &untilReplaced{}, p.secret()
	for client := range 8 {
		l.clients.Go(func() {
			for n := 0; ; n++ {
				after := l.replaced.Load()
				_, err := postDelivery(p.at.Webhook, secret, cutDelivery{ids: []string{fmt.Sprintf("m_%d_%d", client, n)}})
				switch {
				case err == nil && after:
					l.wrong.Add(1)
				case err == nil:
					l.answers.Add(1)
				case !strings.Contains(err.Error(), "answered 503"): // the port of an address can have these digits, too
					return
				}
			}
		})
	}
	return l
}

// TestStopWithManyConsumers: container runtimes kill what has not ended after 10
// seconds. What was answered 200 and every consumer are there after it.
func TestStopWithManyConsumers(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info")
	js := natstest.JetStream(t, p.at.NATS)
	const consumers = 990 // the server refuses more than 1000 for a stream
	for i := range consumers {
		if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: fmt.Sprint("c", i)}); err != nil {
			t.Fatal(err)
		}
	}
	d := cutDelivery{ids: []string{"m_1", "m_2"}}
	if _, err := postDelivery(p.at.Webhook, p.secret(), d); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.terminate()
	if took := time.Since(begin); took > 9*time.Second {
		t.Errorf("the stop took %s", took)
	}
	p = startGateway(t, p.dir)
	stream, err := natstest.JetStream(t, p.at.NATS).Stream(t.Context(), "POSTBACKS")
	if err != nil || stream.CachedInfo().State.Consumers != consumers {
		t.Errorf("after a restart: %+v, %v", stream.CachedInfo().State, err)
	}
	if found := storedIDs(t, p.at.NATS); found["m_1"] != 1 || found["m_2"] != 1 {
		t.Errorf("stored are %v", found)
	}
}
