package publish

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// badSettings are what makes a stream one that does not keep what it acknowledges.
var badSettings = []struct {
	name   string
	change func(*jetstream.StreamConfig)
	want   string
}{
	{"age", func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = time.Second, time.Second }, "drops events when they are 1s old (max_age)"},
	{"discard old", func(c *jetstream.StreamConfig) { c.Discard, c.MaxMsgs = jetstream.DiscardOld, 1 }, "(discard old)"},
	{"one of each subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "(max_msgs_per_subject)"},
	{"subject transform", func(c *jetstream.StreamConfig) {
		c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "postback.>", Destination: "postback.v1.gone.>"}
	}, "(subject_transform)"},
	{"no acknowledgement", func(c *jetstream.StreamConfig) { c.NoAck = true }, "(no_ack)"},
	{"interest", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, "(interest retention)"},
	{"small messages", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 }, "(max_msg_size)"},
}

// TestSettingsOfARunningStream: when somebody makes the stream one that does not keep
// what it acknowledges, deliveries are refused and the gateway is not ready, and both
// ends when it is mended.
func TestSettingsOfARunningStream(t *testing.T) {
	cfg := embeddedConfig(t)
	testBadSettings(t, mustOpen(t, cfg), natstest.JetStream(t, "", inProcess(cfg)), len(badSettings))
}

func TestSettingsOfARunningCluster(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "")
	testBadSettings(t, mustOpen(t, serverConfig(s)), natstest.JetStream(t, s.URL()), 2)
}

func TestSettingsOfARunningRelay(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), nil)
	testBadSettings(t, r.Publisher, r.local, 2)
}

// testBadSettings tries the first n of them.
func testBadSettings(t *testing.T, p *Publisher, js jetstream.JetStream, n int) {
	t.Helper()
	good := info(t, js, "POSTBACKS").Config
	update := func(t *testing.T, c jetstream.StreamConfig) {
		t.Helper()
		if _, err := js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(t *testing.T) error {
		_, err := p.Publish(withDeadline(t, 5*time.Second), clicks(t.Name()+time.Now().String(), 1))
		return err
	}
	for _, tt := range badSettings[:n] {
		t.Run(tt.name, func(t *testing.T) {
			bad := good
			tt.change(&bad)
			update(t, bad)
			eventually(t, "deliveries are refused because of the stream", func() bool {
				err := publish(t)
				return err != nil && strings.Contains(err.Error(), tt.want)
			})
			if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Ready: %v", err)
			}
			update(t, good)
			eventually(t, "deliveries are taken again", func() bool { return publish(t) == nil && p.Ready(t.Context()) == nil })
		})
	}
}

// TestRelayWaitsForAStreamThatKeeps: what the cluster would acknowledge and drop stays here.
func TestRelayWaitsForAStreamThatKeeps(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), nil)
	cluster := natstest.JetStream(t, r.server.URL())
	eventually(t, "the cluster's stream is there", func() bool {
		_, err := cluster.Stream(t.Context(), "POSTBACKS")
		return err == nil
	})
	good := info(t, cluster, "POSTBACKS").Config
	bad := good
	bad.Discard, bad.MaxMsgs = jetstream.DiscardOld, 1
	if _, err := cluster.UpdateStream(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is noticed", func() bool { return strings.Contains(r.log.String(), "stream unusable") })
	mustPublish(t, r.Publisher, clicks("m", 10)...)
	eventually(t, "the reason is told", func() bool { return strings.Contains(r.backlog().Trouble, "(discard old)") })
	if _, err := cluster.UpdateStream(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	r.drained()
	if n := len(r.arrived("POSTBACKS")); n != 10 {
		t.Errorf("%d of 10 arrived", n)
	}
}

// TestServerWithoutAnyJetStream: the reason is told, not how it shows.
func TestServerWithoutAnyJetStream(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "accounts { A { jetstream: enabled, users: [ { user: a, password: b } ] }, B { users: [ { user: c, password: d } ] } }")
	cfg := serverConfig(s)
	cfg.User, cfg.Password = "a", "b"
	p := mustOpen(t, cfg)
	s.Configure("accounts { A { users: [ { user: a, password: b } ] }, B { users: [ { user: c, password: d } ] } }")
	s.Reload()
	eventually(t, "Ready tells it", func() bool {
		err := p.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "has no JetStream for this account")
	})
	if got := p.withoutJetStream(nats.ErrNoResponders).Error(); !isWithoutJetStream(nats.ErrNoResponders) || !strings.Contains(got, "enable it in the server's configuration") {
		t.Error(got)
	}
}

// TestTooLargeForTheStream: the limit that an event exceeds can be the stream's.
func TestTooLargeForTheStream(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	c := cfg.eventStream()
	c.Replicas, c.MaxMsgSize = 1, 8<<10
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, cfg)
	if got := mustPublish(t, p, click("large", "plan:"+strings.Repeat("x", 9<<10))); got[0] != schema.Rejected {
		t.Errorf("outcome %s", got[0])
	}
	letters := stored(t, js, "POSTBACKS_DEADLETTER")
	if len(letters) != 1 || !strings.Contains(string(letters[0].Data), "max_msg_size") {
		t.Errorf("%d dead letters", len(letters))
	}
}

// TestFaultsThatNobodyReads: one who does not read of what ends the gateway keeps nothing
// from ending.
func TestFaultsThatNobodyReads(t *testing.T) {
	cfg := embeddedConfig(t)
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	c := info(t, js, "POSTBACKS").Config
	c.Subjects = []string{"orders.>"}
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.setup.Store(&setup{err: errClosing}) // as before the first success
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 3 {
			p.bringUp(t.Context())
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a further fault blocks")
	}
	if err := <-p.Err(); !strings.Contains(err.Error(), "captures orders.>") {
		t.Error(err)
	}
}
