package publish

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// BenchmarkRelay moves a backlog of b.N events to a nats-server process, with no
// deliveries meanwhile. An operation is an event, end to end: read here, stored
// there, acknowledged on both sides.
func BenchmarkRelay(b *testing.B) {
	server := natstest.Start(b, "")
	cfg := embeddedConfig(b)
	cfg.Relayed = true
	local := mustOpen(b, cfg)
	for n, all := 0, clicks("m", b.N); n < b.N; n += 1000 {
		if _, err := local.Publish(context.Background(), all[n:min(n+1000, b.N)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	relay, err := OpenRelay(context.Background(), local, serverConfig(server), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	for {
		backlog, err := relay.Backlog(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if backlog.Messages == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond) // the resolution of the measurement
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := relay.Close(context.Background()); err != nil {
		b.Error(err)
	}
}
