package replay_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/schema"
)

// TestLeastPrivilege: replays work with the permissions that are recommended, without a
// complaint of the server.
func TestLeastPrivilege(t *testing.T) {
	server := publishtest.LeastPrivilege(t, "../../deploy")
	cfg := publishtest.ServerConfig(server)
	cfg.User, cfg.Password = "gateway", "gateway_password"
	nc, complaints := publishtest.ConnectAs(t, server, nats.UserInfo("gateway", "gateway_password"))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s := newSetupOn(t, cfg, js)
	operator := natstest.JetStream(t, server.URL(), nats.UserInfo("operator", "operator_password"))
	billing, err := operator.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "billing"})
	if err != nil {
		t.Fatal(err)
	}
	s.store(letter(schema.ReasonMalformed, time.Now().Add(-3*time.Hour), "a plan:pro"), letter(schema.ReasonMalformed, time.Now(), "rubbish"))
	if got := s.replay(replay.Selection{}); got != "1 stored a, 2 malformed" {
		t.Errorf("dead letters: %s", got)
	}
	m, err := billing.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Term(); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "billing has given it up", func() bool {
		o, err := s.Overview(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(o.Last) == 1 && len(o.Consumers) == 1 && o.GivenUp["billing"] == 1
	})
	link := &natsconn.Link{NC: nc, JS: js}
	for _, request := range []replay.Request{{Consumer: "billing", GivenUp: true}, {Consumer: "billing", Sequence: 1}, {Consumer: "billing", ID: "a"}} {
		plan, err := replay.Prepare(t.Context(), link, s.Streams, request)
		if err == nil {
			err = plan.Run(t.Context(), link, slog.New(slog.DiscardHandler))
		}
		if err != nil {
			t.Errorf("%+v: %v", request, err)
		}
	}
	select {
	case err := <-complaints:
		t.Errorf("the server complains: %v", err)
	default:
	}
}
