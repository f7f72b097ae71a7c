package publish

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// measure brings the metrics up to date now.
func measure(t *testing.T, p *Publisher) {
	t.Helper()
	if err := p.measureStore(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantSeries checks the pending events of every consumer that has a series.
func wantSeries(t *testing.T, p *Publisher, lines string) {
	t.Helper()
	want := ""
	if lines != "" {
		want = "# HELP gateway_consumer_pending_events Events that a durable consumer has still to acknowledge.\n" +
			"# TYPE gateway_consumer_pending_events gauge\n" + lines
	}
	if err := testutil.CollectAndCompare(p.metrics.consumers.pending, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// TestWatchStream: what is held is what the retention would not purge, and each
// durable consumer shows how far it is behind.
func TestWatchStream(t *testing.T) {
	b := newBounded(t, func(c *Config) { c.DataDir = t.TempDir() })
	if err := b.publish("plan", 100); err != nil {
		t.Fatal(err)
	}
	measure(t, b.Publisher)
	m, held := b.metrics, func() float64 { return testutil.ToFloat64(b.metrics.streamHeld) }
	bytes := float64(b.state().Bytes)
	if got := testutil.ToFloat64(m.streamEvents); got != 100 {
		t.Errorf("%v events", got)
	}
	if got := testutil.ToFloat64(m.streamBytes); got != bytes || bytes == 0 {
		t.Errorf("%v bytes of %v", got, bytes)
	}
	if got := testutil.ToFloat64(m.streamLimit); got != smallStream {
		t.Errorf("limit %v", got)
	}
	if held() != bytes {
		t.Errorf("without a durable consumer %v of %v bytes are held", held(), bytes)
	}
	wantSeries(t, b.Publisher, "")

	all := b.consumer("all")
	b.consumer("rates", "postback.v1.*.*.rate.*")
	b.read(all, 75)
	measure(t, b.Publisher)
	if held() != bytes/4 {
		t.Errorf("with 25 of 100 events to acknowledge %v of %v bytes are held", held(), bytes)
	}
	wantSeries(t, b.Publisher, `gateway_consumer_pending_events{consumer="all"} 25
gateway_consumer_pending_events{consumer="rates"} 0
`)
	oldest, err := b.stream.GetMsg(t.Context(), 76)
	if err != nil {
		t.Fatal(err)
	}
	if got, most := testutil.ToFloat64(m.consumers.lag.WithLabelValues("all")), time.Since(oldest.Time).Seconds(); got <= 0 || got > most {
		t.Errorf("lag of %vs, the oldest is %vs old", got, most)
	}
	if got := testutil.ToFloat64(m.consumers.lag.WithLabelValues("rates")); got != 0 {
		t.Errorf("who has nothing to acknowledge has a lag of %vs", got)
	}
	free, size := testutil.ToFloat64(m.diskFree), testutil.ToFloat64(m.diskSize)
	if free <= 0 || size < free {
		t.Errorf("%v of %v bytes are free", free, size)
	}

	b.read(all, 25)
	if err := b.stream.DeleteConsumer(t.Context(), "rates"); err != nil {
		t.Fatal(err)
	}
	measure(t, b.Publisher)
	if held() != 0 {
		t.Errorf("with nothing to acknowledge %v bytes are held", held())
	}
	wantSeries(t, b.Publisher, "gateway_consumer_pending_events{consumer=\"all\"} 0\n")
}

// TestWatchStreamsOfOthers: what the gateway does not purge is held, whoever has
// acknowledged it.
func TestWatchStreamsOfOthers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		discard jetstream.DiscardPolicy
		limit   float64
	}{
		{"refuses", jetstream.DiscardNew, smallStream},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			js := natstest.JetStream(t, "", inProcess(cfg))
			stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "POSTBACKS", Subjects: []string{"postback.v1.>"},
				MaxBytes: smallStream, Discard: tt.discard, Duplicates: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			b := &bounded{Publisher: mustOpen(t, cfg), t: t, js: js, stream: stream}
			if err := b.publish("plan", 10); err != nil {
				t.Fatal(err)
			}
			b.read(b.consumer("all"), 10)
			measure(t, b.Publisher)
			if got := testutil.ToFloat64(b.metrics.streamLimit); got != tt.limit {
				t.Errorf("limit %v, expected %v", got, tt.limit)
			}
			if got := testutil.ToFloat64(b.metrics.streamHeld); got != float64(b.state().Bytes) || got == 0 {
				t.Errorf("%v bytes are held of %d", got, b.state().Bytes)
			}
		})
	}
}

// TestWatchRelay: the stream is the one on this machine, held for the relay; the
// consumers are those of the cluster.
func TestWatchRelay(t *testing.T) {
	needsProcess(t)
	server := natstest.New(t, natstest.FreePort(t), "")
	r := startRelayed(t, server, nil)
	mustPublish(t, r.Publisher, clicks("m", 10)...)
	eventually(t, "the relay's consumer is there", func() bool {
		measure(t, r.Publisher)
		_, err := r.local.Consumer(t.Context(), "POSTBACKS", RelayConsumer)
		return err == nil
	})
	bytes := float64(info(t, r.local, "POSTBACKS").State.Bytes)
	if got := metric(t, r.reg, "gateway_stream_held_bytes"); got != bytes || bytes == 0 {
		t.Errorf("%v bytes of %v are held while the cluster is away", got, bytes)
	}
	wantSeries(t, r.Publisher, "")

	server.Start()
	r.drained()
	measure(t, r.Publisher)
	if got := metric(t, r.reg, "gateway_stream_held_bytes"); got != 0 {
		t.Errorf("%v bytes are held when all is relayed", got)
	}
	cluster := natstest.JetStream(t, server.URL())
	if _, err := cluster.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	measure(t, r.relay.to)
	wantSeries(t, r.Publisher, "gateway_consumer_pending_events{consumer=\"billing\"} 10\n")
}

// TestWatchGoesOn: the metrics come without anybody who asks for them.
func TestWatchGoesOn(t *testing.T) {
	b := newBounded(t, nil)
	eventually(t, "the limit is measured", func() bool { return testutil.ToFloat64(b.metrics.streamLimit) == smallStream })
}

// TestWatchWithoutStore: the disk is measured while the stream is gone, and what was
// known of the stream stays.
func TestWatchWithoutStore(t *testing.T) {
	b := newBounded(t, func(c *Config) { c.DataDir = t.TempDir() })
	measure(t, b.Publisher)
	b.metrics.diskSize.Set(0)
	b.setOnline(false)
	if err := b.measureStore(t.Context()); err == nil || !strings.Contains(err.Error(), "stream POSTBACKS: not connected") {
		t.Errorf("%v", err)
	}
	if size, limit := testutil.ToFloat64(b.metrics.diskSize), testutil.ToFloat64(b.metrics.streamLimit); size == 0 || limit != smallStream {
		t.Errorf("size of the disk %v, limit of the stream %v", size, limit)
	}
}

// TestWatchWithoutPermission: metrics that nobody brings up to date must not look as if
// all were well.
func TestWatchWithoutPermission(t *testing.T) {
	needsProcess(t)
	cfg := serverConfig(natstest.Start(t, `authorization { users: [{ user: gw, password: pw, permissions: { publish: { deny: ["$JS.API.CONSUMER.LIST.>"] } } }] }`))
	cfg.User, cfg.Password = "gw", "pw"
	_, log := mustOpenWith(t, cfg, nil)
	eventually(t, "the log tells it", func() bool {
		return strings.Contains(log.String(), "the metrics of the store stay as they are") && strings.Contains(log.String(), "consumers of stream POSTBACKS")
	})
}

func TestSumUp(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var wants []want
	for i := consumerLimit + 2; i >= 0; i-- {
		wants = append(wants, want{consumer: fmt.Sprintf("c%03d", i), events: 2, since: now.Add(-time.Duration(i) * time.Second)})
	}
	wants = append(wants, want{consumer: "idle"})
	sums := sumUp(wants, now)
	if len(sums) != consumerLimit+1 {
		t.Errorf("%d series", len(sums))
	}
	if got := sums["c099"]; got != (behind{2, 99 * time.Second}) {
		t.Errorf("the last one with a series of its own: %+v", got)
	}
	if got := sums[consumerOther]; got != (behind{6, 102 * time.Second}) {
		t.Errorf("the others: %+v", got)
	}
}
