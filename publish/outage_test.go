package publish_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// TestSilenceIsFoundOnceForAll: with a server that answers nothing the first delivery
// waits, the next are refused at once, and the first answer ends that.
func TestSilenceIsFoundOnceForAll(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "")
	p, log := mustOpenWith(t, serverConfig(s), nil)
	mustPublish(t, p, clicks("before", 1)...)
	s.Pause()
	// Again where the machine was so slow that the gateway lets everybody through once more.
	eventually(t, "all but the probes are refused, of which there are two a second", func() bool {
		if _, err := p.Publish(withDeadline(t, 2*time.Second), clicks("first", 1)); err == nil {
			t.Fatal("stored by a server that hangs")
		}
		start := time.Now()
		probes := 100 - refusedOf(t, p, 100)
		return probes <= 1+int(time.Since(start)/(500*time.Millisecond))
	})
	s.Resume()
	eventually(t, "stored again", func() bool {
		outcomes, _ := p.Publish(withDeadline(t, time.Second), clicks("after", 1))
		return outcomes[0] != schema.Failed
	})
	for _, line := range []string{"store not responding; rejecting deliveries", "store responding again"} {
		if strings.Count(log.String(), line) != 1 {
			t.Errorf("%q is not logged once:\n%s", line, log)
		}
	}
}

// refusedOf publishes n deliveries at once and returns how many the circuit breaker refused.
func refusedOf(t *testing.T, p *Publisher, n int) int {
	t.Helper()
	var refused atomic.Int32
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			if _, err := p.Publish(withDeadline(t, 2*time.Second), clicks("next", 1)); err != nil && strings.HasPrefix(err.Error(), "no event has been acknowledged for ") {
				refused.Add(1)
			}
		})
	}
	group.Wait()
	return int(refused.Load())
}

// TestPublishWaitsForAnotherConnection: a connection that is lost and made again soon
// costs a delivery that comes in between a moment and nothing else.
func TestPublishWaitsForAnotherConnection(t *testing.T) {
	needsProcess(t)
	proxy := natstest.StartProxy(t, natstest.Start(t, ""))
	cfg := testConfig()
	cfg.Servers, cfg.AckTimeout = proxy.URL(), 10*time.Second // which is also how long it waits for a connection
	p := mustOpen(t, cfg)
	proxy.Hold(true, true) // no new connection comes about
	proxy.Cut()
	eventually(t, "the connection is lost", func() bool { return !p.Monitor().Conn.Online() })
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "not connected to ") {
		t.Errorf("Ready meanwhile: %v", err)
	}
	time.AfterFunc(300*time.Millisecond, proxy.Pass)
	mustPublish(t, p, clicks("m", 1)...)
}

// TestTryPublishStoresNothing: what is asked while in doubt is answered by the
// stream's leader, in a cluster too, and leaves nothing behind.
func TestTryPublishStoresNothing(t *testing.T) {
	needsProcess(t)
	for _, cfg := range []Config{
		serverConfig(natstest.Start(t, "")),
		serverConfig(natstest.StartCluster(t, 3, natstest.ClusterOptions{}).Servers...),
	} {
		p := mustOpen(t, cfg)
		eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
		if err := p.Monitor().Streams.Probe(withDeadline(t, 5*time.Second), p.Monitor().Conn); err != nil {
			t.Errorf("%s: %v", cfg.Servers, err)
		}
		js := natstest.JetStream(t, cfg.Servers)
		if n := info(t, js, "POSTBACKS").State.LastSeq; n != 0 {
			t.Errorf("%s: %d messages", cfg.Servers, n)
		}
		eventually(t, "the stream is missing while it is probed", func() bool { // it is soon made again
			mustDeleteStream(t, js, "POSTBACKS")
			return p.Monitor().Streams.Probe(withDeadline(t, 5*time.Second), p.Monitor().Conn) != nil
		})
	}
}
