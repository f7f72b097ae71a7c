package fallback_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/fallback"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// falling is a publisher with the fallback, and a reader of what comes of it.
type falling struct {
	*Publisher
	t  *testing.T
	js jetstream.JetStream
	n  int
}

func startFallback(t *testing.T, cfg Config) *falling {
	t.Helper()
	cfg.Fallback = true
	f := &falling{Publisher: mustOpen(t, cfg), t: t, js: natstest.JetStream(t, "", inProcess(cfg))}
	runFallback(t, f.Publisher)
	f.idle()
	return f
}

// idle waits until the fallback has dealt with everything.
func (f *falling) idle() {
	f.t.Helper()
	eventually(f.t, "the fallback is through", func() bool {
		c, err := f.js.Consumer(withDeadline(f.t, 5*time.Second), "POSTBACKS", stream.FallbackConsumer)
		return err == nil && c.CachedInfo().AckFloor.Stream == info(f.t, f.js, "POSTBACKS").State.LastSeq
	})
}

// post publishes an event for each prefix and returns the subjects that went to the
// unclaimed because of it.
func (f *falling) post(prefixes ...string) []string {
	f.t.Helper()
	seen := len(f.unclaimed())
	for _, prefix := range prefixes {
		f.n++
		mustPublish(f.t, f.Publisher, click(fmt.Sprintf("m-%d", f.n), prefix+":x"))
	}
	f.idle()
	return f.unclaimed()[seen:]
}

func (f *falling) unclaimed() []string {
	f.t.Helper()
	var all []string
	for _, m := range stored(f.t, f.js, "POSTBACKS_UNCLAIMED") {
		all = append(all, strings.TrimSuffix(strings.TrimPrefix(m.Subject, "unclaimed.postback.v1.messenger.PAGE."), ".x"))
	}
	return all
}

func (f *falling) consumer(c jetstream.ConsumerConfig) {
	f.t.Helper()
	if _, err := f.js.CreateConsumer(f.t.Context(), "POSTBACKS", c); err != nil {
		f.t.Fatal(err)
	}
}

func (f *falling) want(got []string, want ...string) {
	f.t.Helper()
	if !slices.Equal(got, want) {
		f.t.Errorf("unclaimed: %q, want %q", got, want)
	}
}

// TestFallback: what is unclaimed follows the consumers as they come and go.
func TestFallback(t *testing.T) {
	f := startFallback(t, embeddedConfig(t))
	f.want(f.post("plan", "order"), "plan", "order")

	f.consumer(jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "postback.v1.*.*.plan.*"})
	f.want(f.post("plan", "order"), "order")

	f.consumer(jetstream.ConsumerConfig{Durable: "shop", FilterSubjects: []string{"postback.v1.*.*.order.*", "postback.v1.*.*.rate.*"}})
	f.want(f.post("plan", "order", "rate", "other"), "other")

	// An archive asks for everything, and a look at a terminal is no service.
	f.consumer(jetstream.ConsumerConfig{Durable: "archive"})
	f.consumer(jetstream.ConsumerConfig{Durable: "archive2", FilterSubject: "postback.v1.>"})
	f.consumer(jetstream.ConsumerConfig{Durable: "archive3", FilterSubjects: []string{"postback.v1.*.*.*.*"}})
	f.consumer(jetstream.ConsumerConfig{Durable: "archive4", FilterSubjects: []string{"*.v1.*.>"}})
	f.consumer(jetstream.ConsumerConfig{Name: "look", FilterSubject: "postback.v1.*.*.other.*", InactiveThreshold: time.Hour})
	f.want(f.post("other", "plan"), "other")

	if err := f.js.DeleteConsumer(t.Context(), "POSTBACKS", "billing"); err != nil {
		t.Fatal(err)
	}
	f.want(f.post("plan", "order"), "plan")
}

// TestFallbackWithPartitions: a consumer of one partition of a prefix does not claim the
// others, and one of all events of a partition claims none.
func TestFallbackWithPartitions(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.Partitions = 3 // all events of this test are in p0
	f := startFallback(t, cfg)
	f.consumer(jetstream.ConsumerConfig{Durable: "archive", FilterSubjects: []string{"postback.v1.*.*.*.*.*"}})
	f.consumer(jetstream.ConsumerConfig{Durable: "archive0", FilterSubjects: []string{"postback.v1.*.*.*.*.p0"}})
	f.consumer(jetstream.ConsumerConfig{Durable: "plan0", FilterSubjects: []string{"postback.v1.*.*.plan.*.p0"}})
	f.consumer(jetstream.ConsumerConfig{Durable: "order1", FilterSubjects: []string{"postback.v1.*.*.order.*.p1"}})
	f.consumer(jetstream.ConsumerConfig{Durable: "rate", FilterSubjects: []string{"postback.v1.*.*.rate.>"}})
	f.want(f.post("plan", "order", "rate", "other"), "order.x.p0", "other.x.p0")
}

// TestFallbackOnce: the event itself, with its id, and not again after a restart
// or by a second gateway.
func TestFallbackOnce(t *testing.T) {
	cfg := embeddedConfig(t)
	f := startFallback(t, cfg)
	second := startFallback(t, cfg)
	var prefixes []string
	for i := range 100 {
		prefixes = append(prefixes, fmt.Sprintf("p%d", i))
	}
	f.post(prefixes...)
	third := startFallback(t, cfg)
	third.idle()
	got := second.unclaimed()
	slices.Sort(got)
	slices.Sort(prefixes)
	f.want(got, prefixes...)
	unclaimed := map[string]*jetstream.RawStreamMsg{}
	for _, m := range stored(t, f.js, "POSTBACKS_UNCLAIMED") {
		unclaimed[m.Header.Get(jetstream.MsgIDHeader)] = m
	}
	for _, m := range stored(t, f.js, "POSTBACKS") {
		if u := unclaimed[m.Header.Get(jetstream.MsgIDHeader)]; u == nil || u.Subject != "unclaimed."+m.Subject || string(u.Data) != string(m.Data) {
			t.Fatalf("event %+v\nunclaimed %+v", m, u)
		}
	}
}

// TestFallbackBeginsWithNewEvents: nobody expects an answer to what was before.
func TestFallbackBeginsWithNewEvents(t *testing.T) {
	cfg := embeddedConfig(t)
	mustPublish(t, mustOpen(t, cfg), click("old", "old:x"))
	f := startFallback(t, cfg)
	f.want(f.post("new"), "new")
}

// TestFallbackDropsControlHeaders: what another program said to the events' stream is
// not for that of the unclaimed, which would refuse it for ever.
func TestFallbackDropsControlHeaders(t *testing.T) {
	f := startFallback(t, embeddedConfig(t))
	publishForeign(t, f.js, click("foreign", "foreign:x"), nats.Header{"Nats-Expected-Stream": {"POSTBACKS"}})
	f.post("own")
	f.want(f.unclaimed(), "foreign", "own")
}

// TestFallbackListsConsumersSeldom: a list of many consumers costs more than the events.
func TestFallbackListsConsumersSeldom(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "")
	cfg := serverConfig(s)
	cfg.Fallback = true
	p := mustOpen(t, cfg)
	runFallback(t, p)
	js := natstest.JetStream(t, s.URL())
	eventually(t, "the fallback runs", func() bool {
		_, err := js.Consumer(t.Context(), "POSTBACKS", stream.FallbackConsumer)
		return err == nil
	})
	var lists atomic.Int64
	if _, err := js.Conn().Subscribe("$JS.API.CONSUMER.LIST.POSTBACKS", func(*nats.Msg) { lists.Add(1) }); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := range 200 {
		mustPublish(t, p, click(fmt.Sprint("m", i), "plan:x"))
		eventually(t, "the event is among the unclaimed", func() bool {
			return info(t, js, "POSTBACKS_UNCLAIMED").State.Msgs == uint64(i+1)
		})
	}
	// One a second, and those of the metrics, which are less than one in five seconds.
	took := time.Since(start)
	if got, most := lists.Load(), int64(took/time.Second+took/(5*time.Second))+5; got > most || got == 0 {
		t.Errorf("consumers were listed %d times for 200 events, expected at most %d", got, most)
	}
}

// TestFallbackReplacesDeadConsumer: nor does it stop the fallback.
func TestFallbackReplacesDeadConsumer(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig()
	cfg.InProcess = publishtest.Embedded(t, dir)
	f := startFallback(t, cfg)
	f.want(f.post("plan"), "plan")
	zeroConsumer(t, f.js, dir, "POSTBACKS", stream.FallbackConsumer)
	eventually(t, "there is a consumer again", func() bool {
		_, err := f.js.Consumer(t.Context(), "POSTBACKS", stream.FallbackConsumer)
		return err == nil
	})
	f.want(f.post("order"), "order")
}

func runFallback(t *testing.T, p *Publisher) {
	t.Helper()
	f := fallback.Start(p.Monitor(), slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
