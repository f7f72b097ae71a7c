package publish_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/schema"
)

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
	cfg.MaxBytes = publishtest.SmallStream
	p := mustOpen(t, cfg)
	large := func(id string) []schema.Item { return []schema.Item{click(id, "plan:"+strings.Repeat("x", 10<<10))} }
	for i, err := 0, error(nil); !strings.Contains(fmt.Sprint(err), "maximum bytes exceeded"); i++ {
		_, err = p.Publish(withDeadline(t, time.Second), large(fmt.Sprint(i)))
	}
	var group sync.WaitGroup
	var all, late atomic.Int32 // one can be late because the machine is
	end := time.Now().Add(3 * time.Second)
	for i, budget := range []time.Duration{4 * time.Second, 500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond} {
		group.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				_, err := p.Publish(withDeadline(t, budget), large(fmt.Sprint("late", i)))
				all.Add(1)
				if took := time.Since(start); took > budget+time.Second {
					late.Add(1)
					t.Logf("after %s of %s: %v", took, budget, err)
				}
				if err == nil {
					t.Error("stored in a full stream")
				}
				sleep(t.Context(), 10*time.Millisecond)
			}
		})
	}
	group.Wait()
	if 2*late.Load() > all.Load() {
		t.Errorf("%d of %d deliveries have waited for longer than their time", late.Load(), all.Load())
	}
}
