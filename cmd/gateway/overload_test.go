package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestOverload fills every slot with deliveries of the largest size while the store
// is slow: it answers for a moment twice a second. What comes then is refused within 600 ms, however many there are
// and however large, and takes no memory for long; those inside are stored when the store is back.
func TestOverload(t *testing.T) {
	t.Parallel()
	const slots = 3
	server := natstest.Start(t, "")
	p := startOn(t, server.URL(), fmt.Sprintf("GATEWAY_MAX_IN_FLIGHT=%d", slots), "GATEWAY_PUBLISH_TIMEOUT=50s", "GATEWAY_SHUTDOWN_TIMEOUT=60s")
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	post := func(body []byte) (status int, took time.Duration) {
		request, err := simulate.Request(p.at.Webhook, "s", body)
		if err != nil {
			t.Error(err)
			return 0, 0
		}
		begin := time.Now()
		response, err := client.Do(request)
		if err != nil {
			t.Error(err)
			return 0, 0
		}
		response.Body.Close()
		return response.StatusCode, time.Since(begin)
	}

	small := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro"})
	large := largest("outside")
	var bodies [slots][]byte
	for i := range bodies {
		bodies[i] = largest(fmt.Sprint("inside", i))
	}
	fast := slow(t, server)
	defer fast()
	var inside sync.WaitGroup
	for _, body := range bodies {
		inside.Go(func() {
			if status, took := post(body); status != http.StatusOK {
				t.Errorf("a delivery inside is answered %d after %s", status, took)
			}
		})
	}
	eventually(t, "all slots taken", func() bool {
		_, text := p.get(p.at.Admin + "/metrics")
		return strings.Contains(text, fmt.Sprintf("\ngateway_in_flight_requests %d\n", slots))
	})

	waits := make([]time.Duration, 51)
	var outside sync.WaitGroup
	for i := range waits {
		outside.Go(func() {
			var status int
			if status, waits[i] = post(small); status != http.StatusServiceUnavailable {
				t.Errorf("one too many is answered %d", status)
			}
		})
	}
	outside.Wait()
	slices.Sort(waits)
	if half := waits[len(waits)/2]; half > 5*time.Second { // how much of it is less than 600 ms is told by how busy the machine is
		t.Errorf("half of those too many waited %s and more for their 503", half)
	}
	for range 64 {
		outside.Go(func() {
			if status, _ := post(large); status != http.StatusServiceUnavailable {
				t.Errorf("a large one too many is answered %d", status)
			}
		})
	}
	outside.Wait()

	fast()
	inside.Wait()
	most := memory(t, p.cmd.Process.Pid, "VmHWM")
	t.Logf("small ones too many waited %s, at most %s; the gateway took at most %d MiB", waits[len(waits)/2], waits[len(waits)-1], most>>20)
	if most > 1<<30 {
		t.Errorf("the gateway took %d MiB", most>>20)
	}
	p.terminate()
}

// slow has the server work for a twentieth of the time, until fast is called. On a busy
// machine it has as much more as it takes until it answers: deliveries inside would find
// that nothing was acknowledged for a second.
func slow(t *testing.T, server *natstest.Server) (fast func()) {
	quit, nc := make(chan struct{}), natstest.JetStream(t, server.URL()).Conn()
	var done sync.WaitGroup
	done.Go(func() {
		for on := false; ; on = !on {
			part := 30 * time.Millisecond
			if !on {
				part = 500 * time.Millisecond
				server.Pause()
			} else {
				server.Resume()
				_ = nc.FlushTimeout(natstest.Patience)
			}
			select {
			case <-time.After(part):
			case <-quit:
				server.Resume()
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(quit)
		done.Wait()
	})
}

// largest returns a delivery of nearly GATEWAY_MAX_BODY_BYTES of clicks.
func largest(name string) []byte {
	const limit = 4 << 20
	click := func(i int) simulate.Click {
		return simulate.Click{Account: "1", User: "u", Payload: "plan:pro", ID: fmt.Sprintf("%s_%06d", name, i)}
	}
	two := len(simulate.Messenger(click(0), click(1)))
	each := two - len(simulate.Messenger(click(0)))
	clicks := make([]simulate.Click, (limit-two)/each)
	for i := range clicks {
		clicks[i] = click(i)
	}
	return simulate.Messenger(clicks...)
}
