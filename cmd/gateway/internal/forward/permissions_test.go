package forward_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
)

// TestLeastPrivilege: forwarding works with the permissions that are recommended, without
// a complaint of the server.
func TestLeastPrivilege(t *testing.T) {
	server := publishtest.LeastPrivilege(t, "../../../../deploy")
	cfg := publishtest.ServerConfig(server)
	cfg.User, cfg.Password, cfg.Forward = "gateway", "gateway_password", true
	s := &setup{t: t, publisher: publishtest.Open(t, cfg), log: &natstest.Log{}, registry: prometheus.NewRegistry()}
	s.js = natstest.JetStream(t, server.URL(), nats.UserInfo("operator", "operator_password"))
	s.maxAge = time.Hour
	b := startBot(t, nil)
	s.start(s.target(b.URL))
	s.store("1", numbered("1", 10)...)
	s.eventuallyEmpty()
	s.wantOnce(b.got(), "1")
	if log := s.log.String(); log != "" {
		t.Errorf("log: %s", log)
	}
}
