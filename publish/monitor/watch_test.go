package monitor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
)

// measured brings the metrics up to date until ok is true: the sampler can be behind with
// a sample that it began before.
func measured(t *testing.T, p *Publisher, what string, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		measure(t, p)
		return ok()
	})
}

// measure brings the metrics up to date now.
func measure(t *testing.T, p *Publisher) {
	t.Helper()
	if err := p.Monitor().Sample(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// hasSeries compares the pending events of every consumer that has a series.
func hasSeries(t *testing.T, reg *prometheus.Registry, lines string) bool {
	t.Helper()
	want := ""
	if lines != "" {
		want = "# HELP gateway_consumer_pending_events Events that a durable consumer has still to acknowledge.\n" +
			"# TYPE gateway_consumer_pending_events gauge\n" + lines
	}
	return testutil.GatherAndCompare(reg, strings.NewReader(want), "gateway_consumer_pending_events") == nil
}

// TestWatchStream: what is held is what the retention would not purge, and each
// durable consumer shows how far it is behind.
func TestWatchStream(t *testing.T) {
	b := newBounded(t, func(c *Config) { c.DataDir = t.TempDir() })
	if err := b.PublishN("plan", 100); err != nil {
		t.Fatal(err)
	}
	measure(t, b.Publisher)
	held := func() float64 { return metric(t, b.Reg, "gateway_stream_held_bytes") }
	bytes := float64(b.State().Bytes)
	if got := metric(t, b.Reg, "gateway_stream_events"); got != 100 {
		t.Errorf("%v events", got)
	}
	if got := metric(t, b.Reg, "gateway_stream_bytes"); got != bytes || bytes == 0 {
		t.Errorf("%v bytes of %v", got, bytes)
	}
	if got := metric(t, b.Reg, "gateway_stream_limit_bytes"); got != publishtest.SmallStream {
		t.Errorf("limit %v", got)
	}
	measured(t, b.Publisher, "without a durable consumer everything is held", func() bool {
		return held() == bytes && hasSeries(t, b.Reg, "")
	})

	all := b.Consumer("all")
	b.Consumer("rates", "postback.v1.*.*.rate.*")
	b.Read(all, 75)
	measured(t, b.Publisher, "with 25 of 100 events to acknowledge a quarter is held", func() bool {
		return held() == bytes/4 && hasSeries(t, b.Reg, `gateway_consumer_pending_events{consumer="all"} 25
gateway_consumer_pending_events{consumer="rates"} 0
`)
	})
	oldest, err := b.Stream.GetMsg(t.Context(), 76)
	if err != nil {
		t.Fatal(err)
	}
	if got, most := metric(t, b.Reg, "gateway_consumer_lag_seconds", "all"), time.Since(oldest.Time).Seconds(); got <= 0 || got > most {
		t.Errorf("lag of %vs, the oldest is %vs old", got, most)
	}
	if got := metric(t, b.Reg, "gateway_consumer_lag_seconds", "rates"); got != 0 {
		t.Errorf("who has nothing to acknowledge has a lag of %vs", got)
	}
	free, size := metric(t, b.Reg, "gateway_disk_free_bytes"), metric(t, b.Reg, "gateway_disk_size_bytes")
	if free <= 0 || size < free {
		t.Errorf("%v of %v bytes are free", free, size)
	}

	b.Read(all, 25)
	if err := b.Stream.DeleteConsumer(t.Context(), "rates"); err != nil {
		t.Fatal(err)
	}
	measured(t, b.Publisher, "with nothing to acknowledge nothing is held", func() bool {
		return held() == 0 && hasSeries(t, b.Reg, "gateway_consumer_pending_events{consumer=\"all\"} 0\n")
	})
}

// TestWatchStreamsOfOthers: what the gateway does not purge is held, whoever has
// acknowledged it.
func TestWatchStreamsOfOthers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		discard jetstream.DiscardPolicy
		limit   float64
	}{
		{"refuses", jetstream.DiscardNew, publishtest.SmallStream},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			js := natstest.JetStream(t, "", inProcess(cfg))
			created, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "POSTBACKS", Subjects: []string{"postback.v1.>"},
				MaxBytes: publishtest.SmallStream, Discard: tt.discard, Duplicates: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			reg := prometheus.NewRegistry()
			p, _ := mustOpenWith(t, cfg, reg)
			b := &bounded{Publisher: p, Reg: reg, T: t, JS: js, Stream: created}
			if err := b.PublishN("plan", 10); err != nil {
				t.Fatal(err)
			}
			b.Read(b.Consumer("all"), 10)
			measure(t, b.Publisher)
			if got := metric(t, b.Reg, "gateway_stream_limit_bytes"); got != tt.limit {
				t.Errorf("limit %v, expected %v", got, tt.limit)
			}
			measured(t, b.Publisher, "everything is held", func() bool {
				got := metric(t, b.Reg, "gateway_stream_held_bytes")
				return got == float64(b.State().Bytes) && got > 0
			})
		})
	}
}

// TestWatchGoesOn: the metrics come without anybody who asks for them.
func TestWatchGoesOn(t *testing.T) {
	b := newBounded(t, nil)
	eventually(t, "the limit is measured", func() bool { return metric(t, b.Reg, "gateway_stream_limit_bytes") == publishtest.SmallStream })
}

// TestWatchWithoutStore: the disk is sampled while the server is away, and what was known
// of the stream stays.
func TestWatchWithoutStore(t *testing.T) {
	server := publishtest.Embedded(t, "")
	b := newBounded(t, func(c *publish.Config) { c.DataDir, c.InProcess = t.TempDir(), server })
	measure(t, b.Publisher)
	server.Shutdown()
	eventually(t, "the connection is lost", func() bool { return !b.Monitor().Conn.Online() })
	s, err := b.Monitor().Refresh(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not connected") {
		t.Errorf("%v", err)
	}
	if limit := metric(t, b.Reg, "gateway_stream_limit_bytes"); s.Disk.Size == 0 || limit != publishtest.SmallStream {
		t.Errorf("size of the disk %v, limit of the stream %v", s.Disk.Size, limit)
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
