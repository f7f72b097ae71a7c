package monitor_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// TestGivenUp: what a consumer fails on five times, or terminates, is kept and counted.
func TestGivenUp(t *testing.T) {
	cfg, reg := embeddedConfig(t), prometheus.NewRegistry()
	p, _ := mustOpenWith(t, cfg, reg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	c, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "billing", MaxDeliver: 5, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Monitor().Sample(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := metric(t, reg, "gateway_consumer_given_up_total", "billing"); n != 0 {
		t.Errorf("the counter begins with %v", n)
	}
	mustPublish(t, p, click("1", "plan:pro"), click("2", "plan:pro"), click("3", "plan:pro"))
	for range 5 + 1 + 1 { // in which order the server redelivers the first one is not certain
		m, err := c.Next(jetstream.FetchMaxWait(natstest.Patience))
		if err != nil {
			t.Fatal(err)
		}
		switch meta, _ := m.Metadata(); meta.Sequence.Stream {
		case 1:
			err = m.Nak()
		case 2:
			err = m.TermWithReason("no such plan")
		default:
			err = m.DoubleAck(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both are counted", func() bool {
		// The server notices that the last delivery failed when it would deliver again.
		_, _ = c.Fetch(1, jetstream.FetchMaxWait(100*time.Millisecond))
		return p.Monitor().Sample(t.Context()) == nil && metric(t, reg, "gateway_consumer_given_up_total", "billing") == 2
	})
	if counts, err := p.Monitor().GivenUpCounts(t.Context()); err != nil || len(counts) != 1 || counts["billing"] != 2 {
		t.Errorf("counts: %v, %v", counts, err)
	}
	var given []monitor.GivenUp
	r, err := stream.Open(t.Context(), &natsconn.Link{NC: js.Conn(), JS: js}, stream.ReaderConfig{Stream: "POSTBACKS_GIVEN_UP"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		m, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g, err := monitor.NewGivenUp(m)
		if err != nil || g.Consumer != "billing" || g.At.IsZero() {
			t.Errorf("%+v, %v", g, err)
		}
		given = append(given, g)
	}
	slices.SortFunc(given, func(a, b monitor.GivenUp) int { return int(a.Sequence) - int(b.Sequence) })
	if given[0].Sequence != 1 || given[0].Deliveries != 5 || given[1].Sequence != 2 || given[1].Reason != "no such plan" {
		t.Errorf("given up: %+v", given)
	}
}
