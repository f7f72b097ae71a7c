package publish_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/fallback"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/schema"
)

// looksAtEvents is what the console and gateway doctor do.
func looksAtEvents(t *testing.T, p *publish.Publisher, link *natsconn.Link) {
	t.Helper()
	series := analytics.Series{Keep: time.Hour}
	if err := series.Update(t.Context(), link, p.Monitor().Streams.Settings, time.Now().Add(-time.Minute), analytics.Scan{}); err != nil {
		t.Errorf("clicks over time: %v", err)
	}
	var subject string
	series.Each(time.Now().Add(-time.Minute), func(_ time.Time, found string, _ uint64) { subject = found })
	receivers, err := p.Monitor().Receivers(t.Context(), subject)
	if err != nil || len(receivers) != 0 {
		t.Errorf("receivers of %s: %+v, %v", subject, receivers, err)
	}
	if m, err := p.Monitor().Find(t.Context(), subject, "none", time.Now().Add(-time.Minute)); err != nil || m != nil {
		t.Errorf("an event by its id: %+v, %v", m, err)
	}
}

// TestLeastPrivilege: everything that the gateway does works with the permissions
// that are recommended, without a complaint of the server, and with no less.
func TestLeastPrivilege(t *testing.T) {
	s := leastPrivilege(t, "../deploy")
	cfg := serverConfig(s)
	cfg.User, cfg.Password = "gateway", "gateway_password"
	cfg.MaxBytes, cfg.Fallback = publishtest.SmallStream, true
	p, log := mustOpenWith(t, cfg, nil)
	startFallback(t, p, log)
	js := natstest.JetStream(t, s.URL(), nats.UserInfo("operator", "operator_password"))
	stream, err := js.Stream(t.Context(), "POSTBACKS")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "postback.v1.*.*.plan.*", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	b := &bounded{Publisher: p, T: t, JS: js, Stream: stream}
	mustPublish(t, p, rubbish("x"))
	if err := b.PublishN("rate", 10); err != nil {
		t.Fatal(err)
	}
	link, err := p.Monitor().Conn.Link()
	if err != nil {
		t.Fatal(err)
	}
	if found, err := monitor.Unclaimed(t.Context(), link, cfg.Settings, time.Time{}); len(found) != 1 || err != nil {
		t.Errorf("unclaimed: %v, %v", found, err)
	}
	looksAtEvents(t, p, link)
	eventually(t, "the unclaimed are published", func() bool { return info(t, js, "POSTBACKS_UNCLAIMED").State.Msgs == 10 })
	fillAcknowledged(b, "billing")
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
func fillAcknowledged(b *bounded, durable string) {
	b.T.Helper()
	c, err := b.Stream.Consumer(b.T.Context(), durable)
	if err != nil {
		b.T.Fatal(err)
	}
	for b.State().FirstSeq == 1 {
		if err := b.PublishN("plan", 100); err != nil {
			b.T.Fatal(err)
		}
		b.Read(c, 100)
	}
}

// TestPageTeam: a team reads its page's events and nobody else's.
func TestPageTeam(t *testing.T) {
	s := leastPrivilege(t, "../deploy")
	cfg := serverConfig(s)
	cfg.User, cfg.Password = "gateway", "gateway_password"
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, s.URL(), nats.UserInfo("operator", "operator_password"))
	if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "page-123", FilterSubject: "postback.v1.*.123.>", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, p, clickBy("other", schema.Messenger, "456", schema.User{ID: "USER"}), clickBy("ours", schema.Messenger, "123", schema.User{ID: "USER"}))

	nc, complaints := connectAs(t, s, nats.UserInfo("page-123", "page_123_password"), nats.CustomInboxPrefix("_INBOX_page-123"))
	team, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := team.Consumer(t.Context(), "POSTBACKS", "page-123")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Fetch(1, jetstream.FetchMaxWait(natstest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for m := range messages.Messages() {
		got++
		if id := m.Headers().Get(jetstream.MsgIDHeader); id != "messenger:123:ours" {
			t.Errorf("the team got %s", id)
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got != 1 {
		t.Errorf("the team got %d events, want 1: %v", got, messages.Error())
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

func startFallback(t *testing.T, p *Publisher, log *natstest.Log) {
	f := fallback.Start(p.Monitor(), slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() { _ = f.Close(context.Background()) })
}
