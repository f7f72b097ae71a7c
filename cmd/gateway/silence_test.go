package main

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// longestGap returns for how long no delivery was answered 200.
func longestGap(answers []answer) (longest time.Duration) {
	var good []time.Time
	for _, a := range answers {
		if a.status == http.StatusOK {
			good = append(good, a.began.Add(a.took))
		}
	}
	slices.SortFunc(good, time.Time.Compare)
	for i := 1; i < len(good); i++ {
		longest = max(longest, good[i].Sub(good[i-1]))
	}
	return longest
}

// TestSilentStore: the store is there and does not answer, because the network
// loses what is sent, or because the server hangs. Deliveries wait no longer than
// their time for that, and everything goes on by itself after it.
func TestSilentStore(t *testing.T) {
	t.Parallel()
	const (
		small, large = 0, 300_000 // bytes of a payload
		budget       = 2 * time.Second
		outage       = 5 * time.Second // longer than a dead connection takes to be noticed
		moment       = 700 * time.Millisecond
	)
	type store struct {
		server *natstest.Server
		proxy  *natstest.Proxy
	}
	pass := func(s store) { s.proxy.Pass() }
	freeze := func(s store) { s.server.Pause() }
	resume := func(s store) { s.server.Resume() }
	for _, test := range []struct {
		name       string
		size       int
		lasts      time.Duration
		begin, end func(store)
	}{
		{"network, both ways", small, outage, func(s store) { s.proxy.Hold(true, true) }, pass},
		{"network, to the server", large, outage, func(s store) { s.proxy.Hold(true, false) }, pass},
		{"network, from the server", small, outage, func(s store) { s.proxy.Hold(false, true) }, pass},
		{"network, for a moment", large, moment, func(s store) { s.proxy.Hold(true, true) }, pass},
		{"server", small, outage, freeze, resume},
		{"server, large events", large, outage, freeze, resume},
		{"server, for a moment", small, moment, freeze, resume},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := store{server: natstest.Start(t, "")}
			s.proxy = natstest.StartProxy(t, s.server)
			p := startOn(t, s.proxy.URL(), "GATEWAY_PUBLISH_TIMEOUT="+budget.String())
			flow := traffic{base: p.at.Webhook, secret: "s", name: "m", clients: 16, pause: 100*time.Millisecond + time.Duration(test.size)*time.Microsecond, size: test.size}.start(t)
			flow.awaitGood(t, 16)

			begin := time.Now()
			test.begin(s)
			if test.lasts == outage {
				p.awaitUnready("POSTBACKS does not answer")
			}
			time.Sleep(time.Until(begin.Add(test.lasts)))
			test.end(s)
			end := time.Now()
			flow.awaitGood(t, 1)
			recovered := time.Since(end)
			flow.awaitGood(t, 16)
			p.awaitReady()

			answers := flow.stop()
			t.Logf("%v, at most %s; back %s after the store", byStatus(between(answers, begin, end)), slowest(answers).took, recovered)
			wantOnly200And503(t, answers)
			wantWithin(t, answers, budget)
			wantAtOnce(t, answers, begin.Add(known), end)
			// A second without an acknowledgement is no moment.
			if gap := longestGap(answers); test.lasts == moment && gap < time.Second && byStatus(answers)[503] > 0 {
				t.Errorf("answered %v, want 200 alone: nothing was stored for %s", byStatus(answers), gap)
			}
			if recovered > 8*time.Second { // a second, and what a busy machine adds; after ten the gateway tries another connection
				t.Errorf("the first event is stored %s after the store is back, want at most a second", recovered)
			}
			flow.redeliver(t, answers)
			wantOnce(t, s.server.URL(), answers)
			p.terminate()
		})
	}
}
