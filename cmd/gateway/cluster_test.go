package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
)

const (
	publishTimeout = 4 * time.Second // the default
	// margin is what an answer may take beyond GATEWAY_PUBLISH_TIMEOUT on a machine
	// that is busy with clusters and clients.
	margin = 2 * time.Second
	// known is when it is known at the latest that nobody answers: after the second that
	// the first deliveries wait for, and a little.
	known = 2 * time.Second
)

// startOn starts a gateway whose store is at url, and returns when it is ready.
func startOn(t testing.TB, url string, env ...string) *gatewayProcess {
	t.Helper()
	env = append([]string{"GATEWAY_NATS_URL=" + url, "GATEWAY_META_APP_SECRETS=s", "GATEWAY_META_VERIFY_TOKEN=v", "GATEWAY_LOG_LEVEL=info"}, env...)
	p := startGateway(t, t.TempDir(), env...)
	p.awaitReady()
	return p
}

// failure takes something of a cluster away.
type failure struct {
	name   string
	lose   func(*natstest.Cluster) (bring func())
	reason string // on /readyz; empty: deliveries are stored all the time
	heals  bool   // without what is lost
}

// TestClusterFailures takes servers of a cluster away under load: a follower, the
// leader, a leader that only hangs, all of them. The gateway is not restarted. No
// delivery waits for longer than its time, those that come while it is known that
// nobody answers are answered at once, and in the end every delivery is stored, once.
func TestClusterFailures(t *testing.T) {
	t.Parallel()
	follower := func(c *natstest.Cluster) func() {
		s := c.Followers("POSTBACKS")[0]
		s.Kill()
		return s.Start
	}
	leader := func(c *natstest.Cluster) func() {
		s := c.Leader("POSTBACKS")
		s.Kill()
		return s.Start
	}
	hang := func(c *natstest.Cluster) func() {
		s := c.Leader("POSTBACKS")
		s.Pause()
		return s.Resume
	}
	all := func(c *natstest.Cluster) func() {
		c.Kill()
		return c.Start
	}
	const silent, gone = "stream POSTBACKS does not answer", "not connected to nats://127.0.0.1:"
	for _, failures := range [][]failure{
		{{"a follower", follower, "", true}, {"the leader", leader, silent, true}},
		{{"a leader that hangs", hang, silent, true}},
		{{"all", all, gone, false}},
	} {
		t.Run(failures[0].name, func(t *testing.T) {
			t.Parallel()
			clusterFailures(t, failures)
		})
	}
}

func clusterFailures(t *testing.T, failures []failure) {
	c := natstest.StartCluster(t, 3, natstest.ClusterOptions{})
	p := startOn(t, c.URL())
	wantReplicas(t, c, 3)
	flow := traffic{base: p.at.Webhook, secret: "s", name: "m", clients: 64, pause: 100 * time.Millisecond}.start(t)
	flow.awaitGood(t, 500)
	rss := memory(t, p.cmd.Process.Pid, "VmRSS")
	for _, f := range failures {
		f.under(t, c, p, flow)
	}
	answers := flow.stop()
	wantOnly200And503(t, answers)
	wantWithin(t, answers, publishTimeout)
	if most := memory(t, p.cmd.Process.Pid, "VmHWM"); most > rss+64<<20 {
		t.Errorf("the gateway took up to %d MiB, and %d before", most>>20, rss>>20)
	}
	flow.redeliver(t, answers)
	wantOnce(t, c.URL(), answers)
	p.terminate()
}

// under has the failure happen and end while deliveries come.
func (f failure) under(t *testing.T, c *natstest.Cluster, p *gatewayProcess, flow *running) {
	lost := time.Now()
	bring := f.lose(c)
	if f.reason != "" {
		p.awaitUnready(f.reason)
	}
	if f.heals {
		flow.awaitGood(t, 200)
	} else {
		time.Sleep(time.Until(lost.Add(publishTimeout + known))) // to see what comes when the first have given up
	}
	back := time.Now()
	bring()
	flow.awaitGood(t, 200)
	p.awaitReady()
	c.WaitCurrent("POSTBACKS")
	answers := between(flow.soFar(), lost, back)
	t.Logf("%s: %s, %v, at most %s", f.name, back.Sub(lost).Round(time.Millisecond), byStatus(answers), slowest(answers).took)
	if f.reason == "" && byStatus(answers)[http.StatusServiceUnavailable] > 0 {
		t.Errorf("%s: answered %v, want 200 alone", f.name, byStatus(answers))
	}
	wantAtOnce(t, answers, lost.Add(known), back)
}

// wantAtOnce checks that of what comes from start to end and is answered 503 some is
// answered so at once. Two a second are let through to see whether the store answers
// again; how many of the others are quick is told by how busy the machine is.
func wantAtOnce(t testing.TB, answers []answer, start, end time.Time) {
	t.Helper()
	slow, all := 0, 0
	for _, a := range between(answers, start, end) {
		if a.status == http.StatusServiceUnavailable {
			all++
			if a.took > 300*time.Millisecond {
				slow++
			}
		}
	}
	if slow > 0 && slow == all {
		t.Errorf("all of %d deliveries waited although nobody answers", all)
	}
}

// wantWithin checks that answers take no longer than a delivery's time. On a busy machine
// some do; if deliveries waited for the store, most of those that have to wait would.
func wantWithin(t testing.TB, answers []answer, budget time.Duration) {
	t.Helper()
	const few = 4
	waited, late := 0, 0
	for _, a := range answers {
		if a.took > budget/2 {
			waited++
		}
		if a.took > budget+margin {
			late++
		}
	}
	if a := slowest(answers); late > few && 2*late > waited {
		t.Errorf("%d of %d took longer than %s: %s was answered %d after %s", late, waited, budget+margin, a.id, a.status, a.took)
	}
}

func wantReplicas(t testing.TB, c *natstest.Cluster, n int) {
	t.Helper()
	js := natstest.JetStream(t, c.URL())
	for _, name := range []string{"POSTBACKS", "POSTBACKS_DEADLETTER"} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().Config.Replicas; got != n {
			t.Errorf("%s has %d replicas, want %d", name, got, n)
		}
	}
}
