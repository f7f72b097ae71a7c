package publish

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// leastPrivilege runs a server with the permissions that deploy/ recommends.
func leastPrivilege(t *testing.T) *natstest.Server {
	t.Helper()
	needsProcess(t)
	text, err := os.ReadFile("../deploy/nats/permissions.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"GATEWAY_PASSWORD", "PAGE_123_PASSWORD", "OPERATOR_PASSWORD"} {
		t.Setenv(name, strings.ToLower(name))
	}
	return natstest.Start(t, string(text))
}

// TestLeastPrivilege: everything that the gateway does works with the permissions
// that are recommended, without a complaint of the server, and with no less.
func TestLeastPrivilege(t *testing.T) {
	s := leastPrivilege(t)
	cfg := serverConfig(s)
	cfg.User, cfg.Password = "gateway", "gateway_password"
	cfg.MaxBytes, cfg.Fallback = smallStream, true
	p, log := mustOpenWith(t, cfg, nil)
	js := natstest.JetStream(t, s.URL(), nats.UserInfo("operator", "operator_password"))
	stream, err := js.Stream(t.Context(), "POSTBACKS")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "postback.v1.*.*.plan.*", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	b := &bounded{Publisher: p, t: t, js: js, stream: stream}
	mustPublish(t, p, rubbish("x"))
	if err := b.publish("rate", 10); err != nil {
		t.Fatal(err)
	}
	if n, err := p.countUnclaimed(t.Context()); n != 1 || err != nil {
		t.Errorf("unclaimed: %d, %v", n, err)
	}
	eventually(t, "the unclaimed are published", func() bool { return info(t, js, "POSTBACKS_UNCLAIMED").State.Msgs == 10 })
	b.fillAcknowledged("billing")
	if err := p.Ready(withDeadline(t, 5*time.Second)); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("log: %s", text)
	}

	// What the gateway has no business with.
	nc, complaints := connectAs(t, s, nats.UserInfo("gateway", "gateway_password"))
	for _, subject := range []string{"orders.1", "$JS.API.STREAM.DELETE.POSTBACKS", "$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.UPDATE.POSTBACKS", "$JS.API.STREAM.MSG.DELETE.POSTBACKS", "$JS.API.CONSUMER.DELETE.POSTBACKS.billing"} {
		mustBeForbidden(t, nc, complaints, subject)
	}
}

// fillAcknowledged publishes to a consumer that keeps up until something is purged.
func (b *bounded) fillAcknowledged(durable string) {
	b.t.Helper()
	c, err := b.stream.Consumer(b.t.Context(), durable)
	if err != nil {
		b.t.Fatal(err)
	}
	for b.state().FirstSeq == 1 {
		if err := b.publish("plan", 100); err != nil {
			b.t.Fatal(err)
		}
		b.read(c, 100)
	}
}

// TestPageTeam: a team reads its page's events and nobody else's.
func TestPageTeam(t *testing.T) {
	s := leastPrivilege(t)
	cfg := serverConfig(s)
	cfg.User, cfg.Password = "gateway", "gateway_password"
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, s.URL(), nats.UserInfo("operator", "operator_password"))
	if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "page-123", FilterSubject: "postback.v1.*.123.>", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, p, clickOn("other", "456"), clickOn("ours", "123"))

	nc, complaints := connectAs(t, s, nats.UserInfo("page-123", "page_123_password"), nats.CustomInboxPrefix("_INBOX_page-123"))
	team, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := team.Consumer(t.Context(), "POSTBACKS", "page-123")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Fetch(10, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for m := range messages.Messages() {
		if id := m.Headers().Get(jetstream.MsgIDHeader); id != "messenger:123:ours" {
			t.Errorf("the team got %s", id)
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, subject := range []string{"postback.v1.messenger.123.plan.x", "$JS.API.CONSUMER.CREATE.POSTBACKS.mine", "$JS.API.STREAM.MSG.GET.POSTBACKS",
		"$JS.API.DIRECT.GET.POSTBACKS", "$JS.API.STREAM.PURGE.POSTBACKS", "$JS.API.CONSUMER.MSG.NEXT.POSTBACKS.billing"} {
		mustBeForbidden(t, nc, complaints, subject)
	}
	for _, subject := range []string{"postback.v1.messenger.456.>", "postback.v1.>", "_INBOX.>"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		mustComplain(t, nc, complaints, subject)
	}
}

func clickOn(id, page string) (item schema.Item) {
	item = click(id, "plan:x")
	event, err := schema.New(id, item.Event.Time, schema.Data{
		Platform: schema.Messenger, Account: schema.Account{ID: page}, User: schema.User{ID: "USER"},
		Kind: schema.KindButton, Channel: schema.ChannelPrimary, Payload: item.Event.Data.Payload, ReceivedAt: item.Event.Time,
	})
	if err != nil {
		panic(err)
	}
	item.Event = event
	return item
}

// connectAs returns a connection and what the server complains of on it.
func connectAs(t *testing.T, s *natstest.Server, options ...nats.Option) (*nats.Conn, <-chan error) {
	t.Helper()
	complaints := make(chan error, 100)
	nc, err := nats.Connect(s.URL(), append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { complaints <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, complaints
}

func mustBeForbidden(t *testing.T, nc *nats.Conn, complaints <-chan error, subject string) {
	t.Helper()
	if err := nc.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	mustComplain(t, nc, complaints, subject)
}

func mustComplain(t *testing.T, nc *nats.Conn, complaints <-chan error, subject string) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-complaints:
		if !strings.Contains(strings.ToLower(err.Error()), "permissions violation") || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(subject)) {
			t.Errorf("%s: %v", subject, err)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s is allowed", subject)
	}
}
