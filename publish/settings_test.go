package publish_test

import (
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// TestSettingsOfARunningStream: when somebody makes the stream one that does not keep
// what it acknowledges, deliveries are refused and the gateway is not ready, and both
// ends when it is mended.
func TestSettingsOfARunningStream(t *testing.T) {
	cfg := embeddedConfig(t)
	publishtest.BadSettings(t, mustOpen(t, cfg), natstest.JetStream(t, "", inProcess(cfg)), 0)
}

func TestSettingsOfARunningCluster(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "")
	publishtest.BadSettings(t, mustOpen(t, serverConfig(s)), natstest.JetStream(t, s.URL()), 2)
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
		return err != nil && strings.Contains(err.Error(), "has no JetStream for this account") && strings.Contains(err.Error(), "enable it in the server's configuration")
	})
}

// TestTooLargeForTheStream: the limit that an event exceeds can be the stream's.
func TestTooLargeForTheStream(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	c := cfg.Settings.Config(stream.Events)
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
