package publish

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// startEmbeddedIn returns the configuration for a server on a directory that the test
// can reach.
func startEmbeddedIn(t *testing.T, dir string) Config {
	t.Helper()
	s, err := embedded.Start(embedded.Config{Dir: dir, DontListen: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	cfg := testConfig()
	cfg.InProcess = s
	return cfg
}

// zeroConsumer leaves what a power cut on ext4 can leave of a durable consumer: the
// server does not know it, and its state file has the right size and only zeros.
func zeroConsumer(t *testing.T, js jetstream.JetStream, dir, stream, name string) {
	t.Helper()
	consumers, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "streams", stream, "obs"))
	if err != nil || len(consumers) != 1 {
		t.Fatalf("directory of the consumers of %s: %v, %v", stream, consumers, err)
	}
	if err := js.DeleteConsumer(t.Context(), stream, name); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(consumers[0], name)
	if err := os.MkdirAll(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "o.dat"), make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRelayReplacesDeadConsumer: a consumer that the server cannot read stops no relay.
func TestRelayReplacesDeadConsumer(t *testing.T) {
	needsProcess(t)
	dir := t.TempDir()
	r := startRelayed(t, natstest.Start(t, ""), func(local, _ *Config) {
		local.InProcess = startEmbeddedIn(t, dir).InProcess
	})
	events := clicks("m", 20)
	mustPublish(t, r.Publisher, events[:10]...)
	r.drained()
	zeroConsumer(t, r.local, dir, "POSTBACKS", RelayConsumer)
	mustPublish(t, r.Publisher, append(events[10:], rubbish("x"))...)
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, events)) {
		t.Errorf("arrived: %v", got)
	}
	c, err := r.local.Consumer(t.Context(), "POSTBACKS", RelayConsumer)
	if err != nil || !c.CachedInfo().Config.MemoryStorage {
		t.Errorf("not replaced by a consumer in memory: %v, %v", c, err)
	}
	r.close()
	more := clicks("n", 10)
	mustPublish(t, r.Publisher, more...)
	r.open(serverConfig(r.server)) // finds the one in memory
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, append(events, more...))) {
		t.Errorf("arrived: %v", got)
	}
}

// TestFallbackReplacesDeadConsumer: nor does it stop the fallback.
func TestFallbackReplacesDeadConsumer(t *testing.T) {
	dir := t.TempDir()
	f := startFallback(t, startEmbeddedIn(t, dir))
	f.want(f.post("plan"), "plan")
	zeroConsumer(t, f.js, dir, "POSTBACKS", FallbackConsumer)
	eventually(t, "there is a consumer again", func() bool {
		_, err := f.js.Consumer(t.Context(), "POSTBACKS", FallbackConsumer)
		return err == nil
	})
	f.want(f.post("order"), "order")
}

// TestRelayOutlivesShortConnections: a connection that is lost in the moment in which
// it was made is one that is lost, and another one is made.
func TestRelayOutlivesShortConnections(t *testing.T) {
	needsProcess(t)
	server := natstest.Start(t, "")
	proxy := natstest.StartProxy(t, server)
	r := startRelayed(t, server, func(_, cluster *Config) { cluster.Servers = proxy.URL() })
	proxy.CutAfterPong(3000)
	proxy.Cut()
	left, since := 0, time.Now()
	eventually(t, "connections come to an end", func() bool {
		if n := proxy.Cuts(); n != left {
			left, since = n, time.Now()
		} else if n > 0 && time.Since(since) > 10*time.Second {
			t.Fatalf("no other connection is made: %d are left to be cut", n)
		}
		return left == 0
	})
	events := clicks("m", 3)
	mustPublish(t, r.Publisher, events...)
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, events)) {
		t.Errorf("arrived: %v", got)
	}
}

// TestRelayPassesWhatDoesNotFit: another program's message that the cluster does not
// take becomes a dead letter, and what is behind it is relayed.
func TestRelayPassesWhatDoesNotFit(t *testing.T) {
	needsProcess(t)
	const limit = 64 << 10
	subject := "postback.v1.messenger.PAGE.plan.x"
	for _, tt := range []struct {
		name    string
		message nats.Msg
		arrives bool // as it is
	}{
		{"as large as the cluster takes", nats.Msg{Subject: subject, Data: make([]byte, limit)}, true},
		{"larger", nats.Msg{Subject: subject, Data: []byte(strings.Repeat("x", limit+1))}, false},
		{"an object that is not an event", nats.Msg{Subject: subject, Data: []byte(`{"a":"` + strings.Repeat("x", limit) + `"}`)}, false},
		{"an event of another platform", nats.Msg{Subject: subject, Data: []byte(`{"data":{"platform":"a b","x":"` + strings.Repeat("x", limit) + `"}}`)}, false},
		{"with large headers", nats.Msg{Subject: subject, Data: make([]byte, limit-1000), Header: nats.Header{"X-Large": {strings.Repeat("x", 2000)}}}, false},
		{"a large id", nats.Msg{Subject: subject, Data: make([]byte, limit-1000), Header: nats.Header{"Nats-Msg-Id": {strings.Repeat("x", 2000)}}}, false},
		{"no dead letter among dead letters", nats.Msg{Subject: "deadletter.postback.v1.meta.not_json", Data: []byte(`{"a":"` + strings.Repeat("x", limit) + `"}`)}, false},
		{"another subject", nats.Msg{Subject: "orders.1", Data: []byte("x")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startRelayed(t, natstest.Start(t, "max_payload: 64KB"), func(local, _ *Config) {
				wide := local.eventStream()
				wide.Subjects = append(wide.Subjects, "orders.>")
				if _, err := natstest.JetStream(t, "", inProcess(*local)).CreateStream(t.Context(), wide); err != nil {
					t.Fatal(err)
				}
			})
			mustPublish(t, r.Publisher, click("a", "a"))
			if _, err := r.local.PublishMsg(t.Context(), &tt.message); err != nil {
				t.Fatal(err)
			}
			mustPublish(t, r.Publisher, click("b", "b"))
			r.drained()
			arrived := r.arrivedMessages()
			if n := len(arrived); n != 2 && !tt.arrives || n != 3 && tt.arrives || arrived[n-1].Header.Get("Nats-Msg-Id") != "messenger:PAGE:b" {
				t.Errorf("%d messages arrived", n)
			}
			letters := stored(t, natstest.JetStream(t, r.server.URL()), "POSTBACKS_DEADLETTER")
			if tt.arrives {
				if len(letters) != 0 {
					t.Errorf("dead letters: %s", letters[0].Data)
				}
				return
			}
			var d schema.DeadLetter
			if len(letters) != 1 || json.Unmarshal(letters[0].Data, &d) != nil || d.Reason != schema.ReasonNotRelayed ||
				letters[0].Subject != "deadletter.postback.v1.meta.not_relayed" || d.Length != len(tt.message.Data) || len(letters[0].Data) > limit {
				t.Fatalf("%d dead letters, the first %+v", len(letters), d)
			}
			if body, err := d.Bytes(); err != nil || !strings.HasPrefix(string(tt.message.Data), string(body)) || !strings.Contains(d.Detail, tt.message.Subject) {
				t.Errorf("%v, detail %s", err, d.Detail)
			}
		})
	}
}

// TestFullStreamKeepsDeadlines: deliveries that a full stream refuses wait no longer
// than their own time for a server that does not say what can be purged.
func TestFullStreamKeepsDeadlines(t *testing.T) {
	needsProcess(t)
	server := natstest.Start(t, `mappings: { "$JS.API.CONSUMER.LIST.POSTBACKS": "nobody.answers" }`)
	nc := natstest.JetStream(t, server.URL()).Conn()
	if _, err := nc.Subscribe("nobody.answers", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	cfg := serverConfig(server)
	cfg.MaxBytes = smallStream
	p := mustOpen(t, cfg)
	large := func(id string) []schema.Item { return []schema.Item{click(id, "plan:"+strings.Repeat("x", 10<<10))} }
	for i, err := 0, error(nil); err == nil; i++ {
		_, err = p.Publish(withDeadline(t, time.Second), large(fmt.Sprint(i)))
	}
	var group sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	for i, budget := range []time.Duration{4 * time.Second, 500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond} {
		group.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				_, err := p.Publish(withDeadline(t, budget), large(fmt.Sprint("late", i)))
				if took := time.Since(start); err == nil || took > budget+time.Second {
					t.Errorf("%v after %s of %s", err, took, budget)
				}
				sleep(t.Context(), 10*time.Millisecond)
			}
		})
	}
	group.Wait()
}
