package publish

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestMissingRelayHolds: while there is no consumer of the relay nothing was relayed,
// whatever others have read.
func TestMissingRelayHolds(t *testing.T) {
	b := newBounded(t, func(c *Config) { c.Relayed = true })
	archive := b.consumer("archive")
	for range 40 {
		if b.publish("plan", 50) != nil {
			break
		}
		b.read(archive, 50)
	}
	if s := b.state(); s.FirstSeq != 1 {
		t.Errorf("first %d: events were dropped that are not relayed", s.FirstSeq)
	}
	b.mustBeFull(b.fill("plan"), "consumer relay has")
}

// vanish has the server lose the consumer "dead" in a restart, with 10 events that it
// has not read, and returns a reader of the others.
func vanish(t *testing.T) (b *bounded, alive jetstream.Consumer, log *natstest.Log) {
	t.Helper()
	needsProcess(t)
	server := natstest.Start(t, "")
	cfg := serverConfig(server)
	cfg.MaxBytes = smallStream
	p, log := mustOpenWith(t, cfg, nil)
	b = &bounded{Publisher: p, t: t, js: natstest.JetStream(t, server.URL())}
	var err error
	if b.stream, err = b.js.Stream(t.Context(), "POSTBACKS"); err != nil {
		t.Fatal(err)
	}
	alive = b.consumer("alive")
	b.consumer("dead")
	if err := b.publish("plan", 10); err != nil {
		t.Fatal(err)
	}
	measure(t, p)
	server.Kill()
	if err := os.RemoveAll(filepath.Join(server.StreamDir("POSTBACKS"), "obs", "dead")); err != nil {
		t.Fatal(err)
	}
	server.Start()
	eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
	if _, err := b.stream.Consumer(t.Context(), "dead"); err == nil {
		t.Fatal("the server still has the consumer")
	}
	b.read(alive, 10)
	return b, alive, log
}

// TestVanishedConsumerHolds: a server that loses a consumer when it is started says
// nothing of it. What that one has not read is kept.
func TestVanishedConsumerHolds(t *testing.T) {
	b, alive, log := vanish(t)
	for range 40 {
		if b.publish("plan", 50) != nil {
			break
		}
		b.read(alive, 50)
	}
	if s := b.state(); s.FirstSeq != 1 {
		t.Errorf("first %d: events were dropped that a consumer has not read", s.FirstSeq)
	}
	b.mustBeFull(b.fill("plan"), "consumer dead has")
	if n := strings.Count(log.String(), "is gone since the connection was lost"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log)
	}
	// Created again, and read.
	b.read(b.consumer("dead"), int(b.state().Msgs))
	b.read(alive, int(b.state().Msgs)-b.ackFloor(alive))
	b.mustTake("events are taken again when the consumer is back and has read")
}

func (b *bounded) ackFloor(c jetstream.Consumer) int {
	b.t.Helper()
	i, err := c.Info(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return int(i.AckFloor.Stream)
}

// TestDeletedConsumerHoldsNothing: on the connection on which it was seen a consumer
// is only missing when somebody has deleted it.
func TestDeletedConsumerHoldsNothing(t *testing.T) {
	b := newBounded(t, nil)
	alive := b.consumer("alive")
	b.consumer("left")
	if err := b.publish("plan", 10); err != nil {
		t.Fatal(err)
	}
	measure(t, b.Publisher)
	b.read(alive, 10)
	if err := b.stream.DeleteConsumer(t.Context(), "left"); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if err := b.publish("plan", 100); err != nil {
			t.Fatal(err)
		}
		b.read(alive, 100)
	}
}

// TestStaleCount: the server may say that nothing is pending although an event has just
// been stored.
func TestStaleCount(t *testing.T) {
	b := newBounded(t, nil)
	c := b.consumer("service")
	if err := b.publish("plan", 3); err != nil {
		t.Fatal(err)
	}
	b.read(c, 3)
	stale, err := c.Info(t.Context())
	if err != nil || stale.NumPending != 0 {
		t.Fatalf("%+v, %v", stale, err)
	}
	if err := b.publish("plan", 1); err != nil {
		t.Fatal(err)
	}
	s, err := b.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w, err := s.wantedBy(t.Context(), stale); err != nil || w.first != 4 || w.events != 1 {
		t.Errorf("%+v, %v: the fourth event was not delivered", w, err)
	}
}
