package analytics_test

import (
	"testing"

	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// TestScanGoesOn: a server that goes away in the middle loses nothing, and repeats
// nothing.
func TestScanGoesOn(t *testing.T) {
	publishtest.NeedsProcess(t)
	server := natstest.Start(t, "")
	cfg := publishtest.ServerConfig(server)
	const events = 2000
	publishtest.Publish(t, publishtest.Open(t, cfg), publishtest.Clicks("m", events)...)
	js := natstest.JetStream(t, server.URL())
	seen := make(map[uint64]int)
	scan := analytics.Scan{Stream: cfg.Stream, Filters: []string{"postback.v1.>"}}
	err := scan.Run(t.Context(), &natsconn.Link{NC: js.Conn(), JS: js}, func(m *stream.Message) {
		seen[m.Sequence]++
		if len(seen) == events/2 && seen[m.Sequence] == 1 {
			server.Kill()
			server.Start()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for sequence := range uint64(events) {
		if seen[sequence+1] != 1 {
			t.Fatalf("event %d was read %d times", sequence+1, seen[sequence+1])
		}
	}
}
