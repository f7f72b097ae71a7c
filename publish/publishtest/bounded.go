package publishtest

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// Bounded is a publisher on a small stream.
type Bounded struct {
	*publish.Publisher
	T      *testing.T
	JS     jetstream.JetStream
	Stream jetstream.Stream
	Reg    *prometheus.Registry
	n      int
}

// SmallStream is the bound of its stream, in bytes.
const SmallStream = 256 << 10

// NewBounded opens one on an embedded server.
func NewBounded(t *testing.T, change func(*publish.Config)) *Bounded {
	t.Helper()
	cfg := EmbeddedConfig(t)
	cfg.MaxBytes = SmallStream
	if change != nil {
		change(&cfg)
	}
	reg := prometheus.NewRegistry()
	p, _ := OpenWith(t, cfg, reg)
	b := &Bounded{Publisher: p, Reg: reg, T: t, JS: natstest.JetStream(t, "", InProcess(cfg))}
	var err error
	if b.Stream, err = b.JS.Stream(t.Context(), "POSTBACKS"); err != nil {
		t.Fatal(err)
	}
	return b
}

// PublishN stores n more events below prefix; it returns the first error.
func (b *Bounded) PublishN(prefix string, n int) error {
	for range n {
		b.n++
		id := prefix + "-" + time.Duration(b.n).String()
		_, err := b.Publish(Deadline(b.T, natstest.Patience), []schema.Item{Click(id, prefix+":x")})
		if err != nil {
			return err
		}
	}
	return nil
}

// Fill publishes until the stream refuses and returns why.
func (b *Bounded) Fill(prefix string) error {
	b.T.Helper()
	err := b.PublishN(prefix, 10000)
	if err == nil {
		b.T.Fatal("the stream takes whatever comes")
	}
	return err
}

// Consumer creates a durable consumer.
func (b *Bounded) Consumer(name string, filters ...string) jetstream.Consumer {
	b.T.Helper()
	return b.Create(jetstream.ConsumerConfig{Durable: name, FilterSubjects: filters})
}

// Create creates a consumer.
func (b *Bounded) Create(cfg jetstream.ConsumerConfig) jetstream.Consumer {
	b.T.Helper()
	c, err := b.Stream.CreateConsumer(b.T.Context(), cfg)
	if err != nil {
		b.T.Fatal(err)
	}
	return c
}

// Read takes n messages and acknowledges them.
func (b *Bounded) Read(c jetstream.Consumer, n int) {
	b.T.Helper()
	messages, err := c.Fetch(n, jetstream.FetchMaxWait(natstest.Patience))
	if err != nil {
		b.T.Fatal(err)
	}
	got := 0
	for m := range messages.Messages() {
		got++
		if err := m.DoubleAck(b.T.Context()); err != nil {
			b.T.Fatal(err)
		}
	}
	if got != n || messages.Error() != nil {
		b.T.Fatalf("read %d of %d: %v", got, n, messages.Error())
	}
}

// State returns the state of the stream.
func (b *Bounded) State() jetstream.StreamState {
	b.T.Helper()
	return Info(b.T, b.JS, "POSTBACKS").State
}

// MustBeFull checks the error of a delivery and of Ready, which names what holds events.
func (b *Bounded) MustBeFull(err error, holder string) {
	b.T.Helper()
	if !strings.Contains(err.Error(), "maximum bytes exceeded") {
		b.T.Errorf("refused with %v", err)
	}
	ready := b.Ready(Deadline(b.T, 5*time.Second))
	if ready == nil || !strings.Contains(ready.Error(), "stream POSTBACKS is full") || !strings.Contains(ready.Error(), holder) {
		b.T.Errorf("Ready: %v, expected it to name %q", ready, holder)
	}
}

// MustTake waits until an event is stored again.
func (b *Bounded) MustTake(what string) {
	b.T.Helper()
	natstest.Eventually(b.T, what, func() bool {
		return b.PublishN("more", 1) == nil && b.Ready(Deadline(b.T, 5*time.Second)) == nil
	})
}

// Fetch takes n messages, of which the first is the stream's first, and acknowledges
// none.
func (b *Bounded) Fetch(c jetstream.Consumer, n int) {
	b.T.Helper()
	messages, err := c.Fetch(n, jetstream.FetchMaxWait(natstest.Patience))
	if err != nil {
		b.T.Fatal(err)
	}
	var got []uint64
	for m := range messages.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			b.T.Fatal(err)
		}
		got = append(got, meta.Sequence.Stream)
	}
	if len(got) != n || got[0] != 1 {
		b.T.Fatalf("fetched %v", got)
	}
}
