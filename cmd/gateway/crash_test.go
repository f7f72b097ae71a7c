package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// crashRig is a gateway with its store, in one of the ways in which they can be run.
type crashRig struct {
	secret string
	// strike kills something that is needed and starts it again.
	strike func(round int)
	// stop ends what runs, in order, and returns where the stream can be read until
	// the test ends.
	stop func() (url string)
}

// crashVariants are the ways, with how often each strikes where CRASH_ROUNDS is not set.
var crashVariants = []struct {
	name   string
	rounds int
	start  func(t *testing.T, listen string) *crashRig
}{
	{"embedded", 3, crashEmbedded},
	{"relay", 3, crashRelay},
	{"cluster", 2, crashCluster},
}

// crashRelay kills the gateway with its local store, the server that it relays to,
// and both at once.
func crashRelay(t *testing.T, listen string) *crashRig {
	dir, server := t.TempDir(), natstest.Start(t, "")
	start := func() *gatewayProcess {
		return startGateway(t, dir, "GATEWAY_LOG_LEVEL=info", "GATEWAY_LISTEN="+listen, "GATEWAY_NATS_URL="+server.URL(), "GATEWAY_RELAY=true")
	}
	p := start()
	return &crashRig{
		secret: p.secret(),
		strike: func(round int) {
			if round%3 != 0 {
				server.Kill()
			}
			if round%3 != 1 {
				p.kill()
				p = start()
			}
			if round%3 != 0 {
				server.Start()
			}
		},
		stop: func() string {
			eventually(t, "everything is relayed", func() bool {
				_, text := p.get(p.at.Admin + "/readyz")
				return text == "ready\nrelay: everything is relayed\n"
			})
			p.terminate()
			return server.URL()
		},
	}
}

// crashEmbedded kills the gateway with the store in it.
func crashEmbedded(t *testing.T, listen string) *crashRig {
	dir := t.TempDir()
	start := func() *gatewayProcess {
		return startGateway(t, dir, "GATEWAY_LOG_LEVEL=info", "GATEWAY_LISTEN="+listen)
	}
	p := start()
	return &crashRig{
		secret: p.secret(),
		strike: func(int) {
			p.kill()
			p = start()
		},
		stop: func() string { return p.at.NATS },
	}
}

// crashCluster kills the server that leads the stream, and sometimes the gateway.
func crashCluster(t *testing.T, listen string) *crashRig {
	c := natstest.StartCluster(t, 3, natstest.ClusterOptions{})
	start := func() *gatewayProcess {
		return startOn(t, c.URL(), "GATEWAY_LISTEN="+listen)
	}
	p := start()
	return &crashRig{
		secret: "s",
		strike: func(round int) {
			if round%3 == 1 {
				p.kill()
				p = start()
				return
			}
			// The others have to be able to go on without it.
			c.WaitCurrent("POSTBACKS")
			leader := c.Leader("POSTBACKS")
			leader.Kill()
			leader.Start()
		},
		stop: func() string {
			p.terminate()
			c.WaitCurrent("POSTBACKS")
			return c.URL()
		},
	}
}

// TestCrash kills a gateway or its store (kill -9) under load at moments that nobody
// chose, starts it again, and then looks for every delivery that was answered 200: it
// is in the stream, once. What it proves is recovery and de-duplication; the kernel
// keeps unsynced writes of a killed process, so it says nothing of power cuts.
func TestCrash(t *testing.T) {
	for _, variant := range crashVariants {
		t.Run(variant.name, func(t *testing.T) {
			t.Parallel()
			rounds := crashRounds(t, variant.rounds)
			listen := fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))
			rig := variant.start(t, listen)
			flow := traffic{base: "http://" + listen, secret: rig.secret, name: "m", clients: 16, pause: 5 * time.Millisecond, repeat: true}.start(t)
			for round := range rounds {
				flow.awaitGood(t, 200+rand.Int64N(1000))
				rig.strike(round)
			}
			flow.awaitGood(t, 100)
			answers := flow.stop()
			found := storedIDs(t, rig.stop())
			good := 0
			for _, a := range answers {
				if a.status == http.StatusOK {
					good++
				}
				if n := found[a.id]; n > 1 || n == 0 && a.status == http.StatusOK {
					t.Errorf("%s was answered %d (%v) and is stored %d times", a.id, a.status, a.err, n)
				}
			}
			t.Logf("%d kills, %d of %d deliveries answered 200, %d events stored", rounds, good, len(answers), len(found))
		})
	}
}

// crashRounds is how often something is killed; CRASH_ROUNDS sets it.
func crashRounds(t *testing.T, otherwise int) int {
	t.Helper()
	text := os.Getenv("CRASH_ROUNDS")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CRASH_ROUNDS %q: expected a number from 1", text)
	}
	return n
}

// storedIDs reads the whole stream as a consumer and counts each event's id.
func storedIDs(t testing.TB, url string) map[string]int {
	t.Helper()
	js := natstest.JetStream(t, url)
	var stream jetstream.Stream
	eventually(t, "a stream that answers", func() (ok bool) { // a leader may just be elected
		var err error
		stream, err = js.Stream(t.Context(), "POSTBACKS")
		return err == nil
	})
	c := consume(t, url, "POSTBACKS")
	found := make(map[string]int)
	state := stream.CachedInfo().State
	for last := uint64(0); state.Msgs > 0 && last < state.LastSeq; { // what is purged meanwhile does not come
		m := c.next()
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		last = meta.Sequence.Stream
		var e struct{ ID string }
		if err := json.Unmarshal(m.Data(), &e); err != nil || m.Headers().Get("Nats-Msg-Id") != "messenger:1:"+e.ID {
			t.Errorf("%v: %v %.200s", err, m.Headers(), m.Data())
		}
		found[e.ID]++
	}
	return found
}
