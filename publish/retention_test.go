package publish

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// bounded is a publisher on a small stream.
type bounded struct {
	*Publisher
	t      *testing.T
	js     jetstream.JetStream
	stream jetstream.Stream
	n      int
}

const smallStream = 256 << 10

func newBounded(t *testing.T, change func(*Config)) *bounded {
	t.Helper()
	cfg := embeddedConfig(t)
	cfg.MaxBytes = smallStream
	if change != nil {
		change(&cfg)
	}
	b := &bounded{Publisher: mustOpen(t, cfg), t: t, js: natstest.JetStream(t, "", inProcess(cfg))}
	var err error
	if b.stream, err = b.js.Stream(t.Context(), "POSTBACKS"); err != nil {
		t.Fatal(err)
	}
	return b
}

// publish stores n more events below prefix; it returns the first error.
func (b *bounded) publish(prefix string, n int) error {
	for range n {
		b.n++
		id := prefix + "-" + time.Duration(b.n).String()
		_, err := b.Publish(withDeadline(b.t, 5*time.Second), []schema.Item{click(id, prefix+":x")})
		if err != nil {
			return err
		}
	}
	return nil
}

// fill publishes until the stream refuses and returns why.
func (b *bounded) fill(prefix string) error {
	b.t.Helper()
	err := b.publish(prefix, 10000)
	if err == nil {
		b.t.Fatal("the stream takes whatever comes")
	}
	return err
}

func (b *bounded) consumer(name string, filters ...string) jetstream.Consumer {
	b.t.Helper()
	return b.create(jetstream.ConsumerConfig{Durable: name, FilterSubjects: filters})
}

func (b *bounded) create(cfg jetstream.ConsumerConfig) jetstream.Consumer {
	b.t.Helper()
	c, err := b.stream.CreateConsumer(b.t.Context(), cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// read takes n messages and acknowledges them.
func (b *bounded) read(c jetstream.Consumer, n int) {
	b.t.Helper()
	messages, err := c.Fetch(n, jetstream.FetchMaxWait(5*time.Second))
	if err != nil {
		b.t.Fatal(err)
	}
	got := 0
	for m := range messages.Messages() {
		got++
		if err := m.DoubleAck(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	}
	if got != n || messages.Error() != nil {
		b.t.Fatalf("read %d of %d: %v", got, n, messages.Error())
	}
}

func (b *bounded) state() jetstream.StreamState {
	b.t.Helper()
	return info(b.t, b.js, "POSTBACKS").State
}

func (b *bounded) mustBeFull(err error, holder string) {
	b.t.Helper()
	if !strings.Contains(err.Error(), "maximum bytes exceeded") {
		b.t.Errorf("refused with %v", err)
	}
	ready := b.Ready(withDeadline(b.t, 5*time.Second))
	if ready == nil || !strings.Contains(ready.Error(), "stream POSTBACKS is full") || !strings.Contains(ready.Error(), holder) {
		b.t.Errorf("Ready: %v, expected it to name %q", ready, holder)
	}
}

func (b *bounded) mustTake(what string) {
	b.t.Helper()
	eventually(b.t, what, func() bool {
		return b.publish("more", 1) == nil && b.Ready(withDeadline(b.t, 5*time.Second)) == nil
	})
}

// TestFullStreamOfConsumedEvents: who keeps up never sees a refusal.
func TestFullStreamOfConsumedEvents(t *testing.T) {
	b := newBounded(t, nil)
	c := b.consumer("service")
	for range 30 {
		if err := b.publish("plan", 100); err != nil {
			t.Fatalf("after %d events: %v", b.n, err)
		}
		b.read(c, 100)
	}
	if s := b.state(); s.FirstSeq == 1 || s.LastSeq != 3000 {
		t.Errorf("first %d, last %d", s.FirstSeq, s.LastSeq)
	}
}

func TestFullStreamOfUnreadEvents(t *testing.T) {
	b := newBounded(t, nil)
	slow, fast := b.consumer("slow"), b.consumer("fast")
	err := b.fill("plan")
	b.mustBeFull(err, "consumer fast has")
	held := b.state()
	if held.FirstSeq != 1 {
		t.Fatalf("events that nobody has read were dropped: first %d", held.FirstSeq)
	}
	b.read(fast, int(held.Msgs))
	if err := b.publish("plan", 1); err == nil {
		t.Error("an event that a consumer has not read was dropped for a new one")
	}
	eventually(t, "who holds it is told", func() bool {
		ready := b.Ready(withDeadline(t, 5*time.Second))
		return ready != nil && strings.Contains(ready.Error(), "consumer slow has")
	})
	b.read(slow, int(held.Msgs)/2)
	b.mustTake("events are taken again when the slow one has read a half")
	if s := b.state(); s.FirstSeq == 1 || s.FirstSeq > held.Msgs/2+1 {
		t.Errorf("first %d, half read of %d", s.FirstSeq, held.Msgs)
	}
	b.read(slow, 1) // the next is still there
}

// TestFullStreamWithoutConsumers: a reader that keeps no position says nothing of
// what has been dealt with.
func TestFullStreamWithoutConsumers(t *testing.T) {
	b := newBounded(t, nil)
	if _, err := b.stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Name: "ephemeral", InactiveThreshold: time.Hour, AckPolicy: jetstream.AckNonePolicy}); err != nil {
		t.Fatal(err)
	}
	b.mustBeFull(b.fill("plan"), "no durable consumer acknowledges events")
	if s := b.state(); s.FirstSeq != 1 {
		t.Errorf("first %d", s.FirstSeq)
	}
	b.read(b.consumer("late"), int(b.state().Msgs))
	b.mustTake("events are taken again when a consumer has come and read")
}

// TestFilteredConsumersHoldTheirOwn: what a consumer does not ask for is not held
// for it, whether it has nothing to read or something far behind.
func TestFilteredConsumersHoldTheirOwn(t *testing.T) {
	b := newBounded(t, nil)
	all := b.consumer("all")
	b.consumer("nothing", "postback.v1.*.*.never.*")
	rare := b.consumer("rare", "postback.v1.*.*.rare.*", "postback.v1.*.*.rarer.*")
	if err := b.publish("rare", 1); err != nil {
		t.Fatal(err)
	}
	b.read(rare, 1)
	if err := b.publish("plan", 300); err != nil {
		t.Fatal(err)
	}
	if err := b.publish("rare", 1); err != nil { // the 302nd, unread
		t.Fatal(err)
	}
	b.read(all, 302)
	err := b.fill("plan")
	if s := b.state(); s.FirstSeq < 2 || s.FirstSeq > 302 {
		t.Errorf("first %d: %v", s.FirstSeq, err)
	}
	b.read(all, int(b.state().LastSeq)-302)
	err = b.fill("plan")
	if s := b.state(); s.FirstSeq != 302 {
		t.Errorf("first %d, expected the unread one: %v", s.FirstSeq, err)
	}
	b.mustBeFull(err, "consumer")
}

// TestPausedConsumerHolds: who reads later wants to find everything.
func TestPausedConsumerHolds(t *testing.T) {
	b := newBounded(t, nil)
	until := time.Now().Add(time.Hour)
	paused := b.create(jetstream.ConsumerConfig{Durable: "paused", PauseUntil: &until})
	b.mustBeFull(b.fill("plan"), "consumer paused has")
	if s := b.state(); s.FirstSeq != 1 {
		t.Errorf("first %d: events were dropped that a paused consumer waits for", s.FirstSeq)
	}
	if _, err := b.stream.ResumeConsumer(t.Context(), "paused"); err != nil {
		t.Fatal(err)
	}
	b.read(paused, int(b.state().Msgs))
	b.mustTake("events are taken again when it goes on and has read")
}

// TestExhaustedDeliveries: what was delivered as often as its consumer allows is held
// while that one has anything else to acknowledge, because the server does not move the
// end of the acknowledgements over it; and then no longer.
func TestExhaustedDeliveries(t *testing.T) {
	b := newBounded(t, nil)
	c := b.create(jetstream.ConsumerConfig{Durable: "limited", MaxDeliver: 2, AckWait: time.Second})
	if err := b.publish("plan", 40); err != nil {
		t.Fatal(err)
	}
	b.fetch(c, 40)
	b.fetch(c, 40) // again: the second and last time
	b.mustBeFull(b.fill("plan"), "consumer limited has")
	s := b.state()
	if s.FirstSeq != 1 {
		t.Errorf("first %d: events were dropped that may still be acknowledged", s.FirstSeq)
	}
	b.read(c, int(s.Msgs)-40)
	eventually(t, "the server gives the 40 up", func() bool {
		_, err := c.FetchNoWait(1) // who asks for more finds out that there is no more to deliver
		return err == nil && b.heldFrom() > s.LastSeq
	})
	b.mustTake("events are taken again when the consumer is through")
	if s := b.state(); s.FirstSeq == 1 {
		t.Error("nothing was purged")
	}
}

// fetch takes n messages, of which the first is the stream's first, and acknowledges
// none.
func (b *bounded) fetch(c jetstream.Consumer, n int) {
	b.t.Helper()
	messages, err := c.Fetch(n, jetstream.FetchMaxWait(10*time.Second))
	if err != nil {
		b.t.Fatal(err)
	}
	var got []uint64
	for m := range messages.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			b.t.Fatal(err)
		}
		got = append(got, meta.Sequence.Stream)
	}
	if len(got) != n || got[0] != 1 {
		b.t.Fatalf("fetched %v", got)
	}
}

// heldFrom is the first sequence that the retention does not purge.
func (b *bounded) heldFrom() uint64 {
	b.t.Helper()
	s, err := b.look(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	wants, err := s.wants(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s.firstWanted(wants).first
}

// TestRelayedEventsOutliveTheirAge: age alone drops nothing that is not relayed.
func TestRelayedEventsOutliveTheirAge(t *testing.T) {
	b := newBounded(t, func(c *Config) {
		c.Relayed, c.MaxAge, c.DuplicateWindow = true, 200*time.Millisecond, 100*time.Millisecond
	})
	if age := info(t, b.js, "POSTBACKS").Config.MaxAge; age != 0 {
		t.Fatalf("the server drops by an age of %s", age)
	}
	c := b.consumer(RelayConsumer)
	if err := b.publish("plan", 100); err != nil {
		t.Fatal(err)
	}
	b.read(c, 40)
	eventually(t, "the events are old", func() bool {
		return time.Since(b.state().FirstTime) > 200*time.Millisecond && time.Since(b.state().LastTime) > 200*time.Millisecond
	})
	if err := b.publish("plan", 1); err != nil {
		t.Fatal(err)
	}
	if err := b.keeper.dropOld(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := b.state(); s.FirstSeq != 41 || s.Msgs != 61 {
		t.Errorf("first %d, %d events: 40 of 100 were relayed", s.FirstSeq, s.Msgs)
	}
	b.read(c, 60)
	if err := b.keeper.dropOld(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := b.state(); s.FirstSeq != 101 {
		t.Errorf("first %d: the one that is young has to stay", s.FirstSeq)
	}
}

// TestStreamsOfOthersAreNotPurged: without a bound of the gateway's own
// what an operator does with a stream is left alone.
func TestStreamsOfOthersAreNotPurged(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "POSTBACKS", Subjects: []string{"postback.v1.>"},
		MaxBytes: smallStream, Discard: jetstream.DiscardNew, Duplicates: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, cfg)
	if p.keeper != nil {
		t.Error("the gateway purges a stream that it was given no bound for")
	}
	b := &bounded{Publisher: p, t: t, js: js}
	if err := b.fill("plan"); errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestRoomForLargeEvents: an event that does not fit, although the bound is not
// near, gets the room of what has been read.
func TestRoomForLargeEvents(t *testing.T) {
	b := newBounded(t, nil)
	c := b.consumer("service")
	large := func(id string, size int) []schema.Item {
		return []schema.Item{click(id, "plan:"+strings.Repeat("x", size))}
	}
	for _, id := range []string{"a", "b"} {
		mustPublish(t, b.Publisher, large(id, 50<<10)...)
	}
	b.read(c, 2)
	for _, id := range []string{"c", "d", "e"} {
		if _, err := b.Publish(withDeadline(t, 5*time.Second), large(id, 50<<10)); err != nil {
			t.Fatalf("%s: %v, with %+v", id, err, b.state())
		}
		b.read(c, 1)
	}
	if s := b.state(); s.FirstSeq == 1 {
		t.Errorf("nothing was purged: %+v", s)
	}
}

// TestDeadLettersOfASmallStream: whatever is answered with is kept.
func TestDeadLettersOfASmallStream(t *testing.T) {
	b := newBounded(t, nil)
	mustPublish(t, b.Publisher, rubbish(strings.Repeat("x", 900<<10)), click("large", "plan:"+strings.Repeat("x", 200<<10)))
	if got := info(t, b.js, "POSTBACKS_DEADLETTER").State.Msgs; got != 2 {
		t.Errorf("%d dead letters are kept of 2", got)
	}
}
