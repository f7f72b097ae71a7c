package monitor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// TestFullStreamOfConsumedEvents: who keeps up never sees a refusal.
func TestFullStreamOfConsumedEvents(t *testing.T) {
	b := newBounded(t, nil)
	c := b.Consumer("service")
	for range 30 {
		if err := b.PublishN("plan", 100); err != nil {
			t.Fatalf("after %d events: %v", b.State().LastSeq, err)
		}
		b.Read(c, 100)
	}
	if s := b.State(); s.FirstSeq == 1 || s.LastSeq != 3000 {
		t.Errorf("first %d, last %d", s.FirstSeq, s.LastSeq)
	}
}

func TestFullStreamOfUnreadEvents(t *testing.T) {
	b := newBounded(t, nil)
	slow, fast := b.Consumer("slow"), b.Consumer("fast")
	err := b.Fill("plan")
	b.MustBeFull(err, "consumer fast has")
	held := b.State()
	if held.FirstSeq != 1 {
		t.Fatalf("events that nobody has read were dropped: first %d", held.FirstSeq)
	}
	b.Read(fast, int(held.Msgs))
	if err := b.PublishN("plan", 1); err == nil {
		t.Error("an event that a consumer has not read was dropped for a new one")
	}
	eventually(t, "who holds it is told", func() bool {
		ready := b.Ready(withDeadline(t, 5*time.Second))
		return ready != nil && strings.Contains(ready.Error(), "consumer slow has")
	})
	b.Read(slow, int(held.Msgs)/2)
	b.MustTake("events are taken again when the slow one has read a half")
	if s := b.State(); s.FirstSeq == 1 || s.FirstSeq > held.Msgs/2+1 {
		t.Errorf("first %d, half read of %d", s.FirstSeq, held.Msgs)
	}
	b.Read(slow, 1) // the next is still there
}

// TestFullStreamWithoutConsumers: a reader that keeps no position says nothing of
// what has been dealt with.
func TestFullStreamWithoutConsumers(t *testing.T) {
	b := newBounded(t, nil)
	if _, err := b.Stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Name: "ephemeral", InactiveThreshold: time.Hour, AckPolicy: jetstream.AckNonePolicy}); err != nil {
		t.Fatal(err)
	}
	b.MustBeFull(b.Fill("plan"), "no durable consumer acknowledges events")
	if s := b.State(); s.FirstSeq != 1 {
		t.Errorf("first %d", s.FirstSeq)
	}
	b.Read(b.Consumer("late"), int(b.State().Msgs))
	b.MustTake("events are taken again when a consumer has come and read")
}

// TestFilteredConsumersHoldTheirOwn: what a consumer does not ask for is not held
// for it, whether it has nothing to read or something far behind.
func TestFilteredConsumersHoldTheirOwn(t *testing.T) {
	b := newBounded(t, nil)
	all := b.Consumer("all")
	b.Consumer("nothing", "postback.v1.*.*.never.*")
	rare := b.Consumer("rare", "postback.v1.*.*.rare.*", "postback.v1.*.*.rarer.*")
	if err := b.PublishN("rare", 1); err != nil {
		t.Fatal(err)
	}
	b.Read(rare, 1)
	if err := b.PublishN("plan", 300); err != nil {
		t.Fatal(err)
	}
	if err := b.PublishN("rare", 1); err != nil { // the 302nd, unread
		t.Fatal(err)
	}
	b.Read(all, 302)
	err := b.Fill("plan")
	if s := b.State(); s.FirstSeq < 2 || s.FirstSeq > 302 {
		t.Errorf("first %d: %v", s.FirstSeq, err)
	}
	b.Read(all, int(b.State().LastSeq)-302)
	err = b.Fill("plan")
	if s := b.State(); s.FirstSeq != 302 {
		t.Errorf("first %d, expected the unread one: %v", s.FirstSeq, err)
	}
	b.MustBeFull(err, "consumer")
}

// TestPausedConsumerHolds: who reads later wants to find everything.
func TestPausedConsumerHolds(t *testing.T) {
	b := newBounded(t, nil)
	until := time.Now().Add(time.Hour)
	paused := b.Create(jetstream.ConsumerConfig{Durable: "paused", PauseUntil: &until})
	b.MustBeFull(b.Fill("plan"), "consumer paused has")
	if s := b.State(); s.FirstSeq != 1 {
		t.Errorf("first %d: events were dropped that a paused consumer waits for", s.FirstSeq)
	}
	if _, err := b.Stream.ResumeConsumer(t.Context(), "paused"); err != nil {
		t.Fatal(err)
	}
	b.Read(paused, int(b.State().Msgs))
	b.MustTake("events are taken again when it goes on and has read")
}

// TestExhaustedDeliveries: what was delivered as often as its consumer allows is held
// while that one has anything else to acknowledge, because the server does not move the
// end of the acknowledgements over it; and then no longer.
func TestExhaustedDeliveries(t *testing.T) {
	b := newBounded(t, nil)
	c := b.Create(jetstream.ConsumerConfig{Durable: "limited", MaxDeliver: 2, AckWait: time.Second})
	if err := b.PublishN("plan", 40); err != nil {
		t.Fatal(err)
	}
	b.Fetch(c, 40)
	b.Fetch(c, 40) // again: the second and last time
	b.MustBeFull(b.Fill("plan"), "consumer limited has")
	s := b.State()
	if s.FirstSeq != 1 {
		t.Errorf("first %d: events were dropped that may still be acknowledged", s.FirstSeq)
	}
	b.Read(c, int(s.Msgs)-40)
	eventually(t, "the server gives the 40 up", func() bool {
		_, err := c.FetchNoWait(1) // who asks for more finds out that there is no more to deliver
		from, heldErr := b.Monitor().HeldFrom(t.Context())
		return err == nil && heldErr == nil && from > s.LastSeq
	})
	b.MustTake("events are taken again when the consumer is through")
	if s := b.State(); s.FirstSeq == 1 {
		t.Error("nothing was purged")
	}
}

// TestRelayedEventsOutliveTheirAge: age alone drops nothing that is not relayed.
func TestRelayedEventsOutliveTheirAge(t *testing.T) {
	b := newBounded(t, func(c *Config) {
		c.Relayed, c.MaxAge, c.DuplicateWindow = true, 200*time.Millisecond, 100*time.Millisecond
	})
	if age := info(t, b.JS, "POSTBACKS").Config.MaxAge; age != 0 {
		t.Fatalf("the server drops by an age of %s", age)
	}
	c := b.Consumer(stream.RelayConsumer)
	if err := b.PublishN("plan", 100); err != nil {
		t.Fatal(err)
	}
	b.Read(c, 40)
	eventually(t, "the events are old", func() bool {
		return time.Since(b.State().FirstTime) > 200*time.Millisecond && time.Since(b.State().LastTime) > 200*time.Millisecond
	})
	if err := b.PublishN("plan", 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Monitor().DropOld(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := b.State(); s.FirstSeq != 41 || s.Msgs != 61 {
		t.Errorf("first %d, %d events: 40 of 100 were relayed", s.FirstSeq, s.Msgs)
	}
	b.Read(c, 60)
	if err := b.Monitor().DropOld(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := b.State(); s.FirstSeq != 101 {
		t.Errorf("first %d: the one that is young has to stay", s.FirstSeq)
	}
}

// TestStreamsOfOthersAreNotPurged: without a bound of the gateway's own
// what an operator does with a stream is left alone.
func TestStreamsOfOthersAreNotPurged(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "POSTBACKS", Subjects: []string{"postback.v1.>"},
		MaxBytes: publishtest.SmallStream, Discard: jetstream.DiscardNew, Duplicates: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, cfg)
	if p.Monitor().Purges() {
		t.Error("the gateway purges a stream that it was given no bound for")
	}
	b := &bounded{Publisher: p, T: t, JS: js}
	if err := b.Fill("plan"); errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestRoomForLargeEvents: an event that does not fit, although the bound is not
// near, gets the room of what has been read.
func TestRoomForLargeEvents(t *testing.T) {
	b := newBounded(t, nil)
	c := b.Consumer("service")
	large := func(id string, size int) []schema.Item {
		return []schema.Item{click(id, "plan:"+strings.Repeat("x", size))}
	}
	for _, id := range []string{"a", "b"} {
		mustPublish(t, b.Publisher, large(id, 50<<10)...)
	}
	b.Read(c, 2)
	for _, id := range []string{"c", "d", "e"} {
		if _, err := b.Publish(withDeadline(t, 5*time.Second), large(id, 50<<10)); err != nil {
			t.Fatalf("%s: %v, with %+v", id, err, b.State())
		}
		b.Read(c, 1)
	}
	if s := b.State(); s.FirstSeq == 1 {
		t.Errorf("nothing was purged: %+v", s)
	}
}

// TestDeadLettersOfASmallStream: whatever is answered with is kept.
func TestDeadLettersOfASmallStream(t *testing.T) {
	b := newBounded(t, nil)
	mustPublish(t, b.Publisher, rubbish(strings.Repeat("x", 900<<10)), click("large", "plan:"+strings.Repeat("x", 200<<10)))
	if got := info(t, b.JS, "POSTBACKS_DEADLETTER").State.Msgs; got != 2 {
		t.Errorf("%d dead letters are kept of 2", got)
	}
}

// TestMissingRelayHolds: while there is no consumer of the relay nothing was relayed,
// whatever others have read.
func TestMissingRelayHolds(t *testing.T) {
	b := newBounded(t, func(c *Config) { c.Relayed = true })
	archive := b.Consumer("archive")
	for range 40 {
		if b.PublishN("plan", 50) != nil {
			break
		}
		b.Read(archive, 50)
	}
	if s := b.State(); s.FirstSeq != 1 {
		t.Errorf("first %d: events were dropped that are not relayed", s.FirstSeq)
	}
	b.MustBeFull(b.Fill("plan"), "consumer relay has")
}

// TestDeletedConsumerHoldsNothing: on the connection on which it was seen a consumer
// is only missing when somebody has deleted it.
func TestDeletedConsumerHoldsNothing(t *testing.T) {
	b := newBounded(t, nil)
	alive := b.Consumer("alive")
	b.Consumer("left")
	if err := b.PublishN("plan", 10); err != nil {
		t.Fatal(err)
	}
	measure(t, b.Publisher)
	b.Read(alive, 10)
	if err := b.Stream.DeleteConsumer(t.Context(), "left"); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if err := b.PublishN("plan", 100); err != nil {
			t.Fatal(err)
		}
		b.Read(alive, 100)
	}
}
