package monitor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// TestReceivers: those that ask for a subject, and where each is with one event of it.
func TestReceivers(t *testing.T) {
	cfg := embeddedConfig(t)
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	begun := time.Now().Add(-time.Minute)
	mustPublish(t, p, click("1", "plan:pro"), click("2", "plan:pro"), click("3", "help"))
	create := func(c jetstream.ConsumerConfig) jetstream.Consumer {
		t.Helper()
		c.AckPolicy = jetstream.AckExplicitPolicy
		consumer, err := js.CreateConsumer(t.Context(), "POSTBACKS", c)
		if err != nil {
			t.Fatal(err)
		}
		return consumer
	}
	plan := "postback.v1.*.*.plan.>"
	billing := create(jetstream.ConsumerConfig{Durable: "billing", FilterSubject: plan})
	busy := create(jetstream.ConsumerConfig{Durable: "busy", FilterSubjects: []string{plan, "postback.v1.*.*.help.>"}})
	create(jetstream.ConsumerConfig{Durable: "idle"})
	create(jetstream.ConsumerConfig{Durable: "late", FilterSubject: plan, DeliverPolicy: jetstream.DeliverNewPolicy})
	create(jetstream.ConsumerConfig{Durable: "third", FilterSubject: plan, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 3})
	create(jetstream.ConsumerConfig{Name: "passing", FilterSubject: plan, InactiveThreshold: time.Hour})
	create(jetstream.ConsumerConfig{Durable: "helper", FilterSubject: "postback.v1.*.*.help.>"})
	create(jetstream.ConsumerConfig{Durable: stream.FallbackConsumer})
	create(jetstream.ConsumerConfig{Name: "tail", InactiveThreshold: time.Hour, Metadata: map[string]string{stream.InspectMetadata: "tail"}})
	for name, c := range map[string]jetstream.Consumer{"billing": billing, "busy": busy} {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if name == "billing" {
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	subject := "postback.v1.messenger.PAGE.plan.pro"
	find := func(id string) *stream.Message {
		t.Helper()
		m, err := p.Monitor().Find(t.Context(), subject, "messenger:PAGE:"+id, begun)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first, second := find("1"), find("2")
	if first == nil || second == nil || first.Sequence != 1 || second.Sequence != 2 || find("4") != nil {
		t.Fatalf("found %+v, %+v", first, second)
	}
	positions := func(m *stream.Message) string {
		receivers, err := p.Monitor().Receivers(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, r := range receivers {
			all = append(all, fmt.Sprintf("%s %s %t", r.Name, r.Position(m), r.Durable))
		}
		return strings.Join(all, ", ")
	}
	want := "billing acknowledged true, busy delivered true, idle waiting true, late before_start true, passing waiting false, third before_start true"
	// The server counts an acknowledgement a little later than it confirms it.
	eventually(t, want, func() bool { return positions(first) == want })
	want = strings.ReplaceAll(want, "acknowledged", "waiting")
	want = strings.ReplaceAll(want, "delivered", "waiting")
	if got := positions(second); got != want {
		t.Errorf("of the second: %s, want %s", got, want)
	}
}

// TestReceiversOfNoSubject: what is not the subject of an event has no receivers.
func TestReceiversOfNoSubject(t *testing.T) {
	m := mustOpen(t, embeddedConfig(t)).Monitor()
	for _, subject := range []string{"", "a..b", "postback.v1.messenger", "postback.v1.*.*.plan.pro", "elsewhere.1"} {
		if found, err := m.Receivers(t.Context(), subject); err == nil {
			t.Errorf("%q: %+v", subject, found)
		}
	}
}

// TestReceiversOfAnEventGivenUp: an event that was delivered as often as the consumer
// allows does not look as if somebody worked on it.
func TestReceiversOfAnEventGivenUp(t *testing.T) {
	cfg := embeddedConfig(t)
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	mustPublish(t, p, click("1", "plan:pro"))
	c, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "failing", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 1, AckWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(); err != nil {
		t.Fatal(err)
	}
	// The server gives up when somebody asks for the next one.
	eventually(t, "the event is given up", func() bool {
		_, _ = c.Fetch(1, jetstream.FetchMaxWait(100*time.Millisecond))
		receivers, err := p.Monitor().Receivers(t.Context(), "postback.v1.messenger.PAGE.plan.pro")
		return err == nil && len(receivers) == 1 && receivers[0].Position(&stream.Message{Sequence: 1}) == monitor.GaveUp
	})
}
