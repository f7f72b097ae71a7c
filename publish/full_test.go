package publish_test

import (
	"fmt"
	"strings"
	"sync"
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
	lateness := natstest.Lateness(t)
	end := time.Now().Add(3 * time.Second)
	for i, budget := range []time.Duration{4 * time.Second, 500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond} {
		group.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				_, err := p.Publish(withDeadline(t, budget), large(fmt.Sprint("late", i)))
				if took := time.Since(start); err == nil || took > budget+time.Second+lateness() {
					t.Errorf("%v after %s of %s", err, took, budget)
				}
				sleep(t.Context(), 10*time.Millisecond)
			}
		})
	}
	group.Wait()
}
