package monitor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// TestMetricOfUnclaimedFails: that it cannot be brought up to date is told.
func TestMetricOfUnclaimedFails(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	s := cfg.Settings.Config(stream.Events)
	s.MaxConsumers = 1
	created, err := js.CreateStream(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := created.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "the-only-one"}); err != nil {
		t.Fatal(err)
	}
	_, log := mustOpenWith(t, cfg, nil)
	eventually(t, "the log tells it", func() bool {
		return strings.Contains(log.String(), "the metric of unclaimed subjects stays as it is") && strings.Contains(log.String(), "maximum consumers")
	})
}

func TestUnclaimed(t *testing.T) {
	cfg := embeddedConfig(t)
	reg := prometheus.NewRegistry()
	p, _ := mustOpenWith(t, cfg, reg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	link, err := p.Monitor().Conn.Link()
	if err != nil {
		t.Fatal(err)
	}
	subjects := func(since time.Time) string {
		t.Helper()
		found, err := monitor.Unclaimed(t.Context(), link, cfg.Settings, since)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, s := range found {
			if time.Since(s.Last) > time.Minute {
				t.Errorf("%+v", s)
			}
			all = append(all, fmt.Sprintf("%s=%d", strings.TrimPrefix(s.Subject, "postback.v1.messenger.PAGE."), s.Events))
		}
		return strings.Join(all, " ")
	}
	check := func(since time.Time, want string) {
		t.Helper()
		if got := subjects(since); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(time.Time{}, "")
	mustPublish(t, p, click("1", "rate:5"), click("2", "plan:pro"), click("3", "plan:pro"), click("4", "help"), click("5", "order:1"))
	check(time.Time{}, "help._=1 order.1=1 plan.pro=2 rate.5=1")
	check(time.Now().Add(time.Hour), "")
	for _, c := range []jetstream.ConsumerConfig{
		{Durable: "archive"},
		{Name: "ephemeral", FilterSubject: "postback.v1.*.*.plan.*", InactiveThreshold: time.Hour},
		{Name: "tail", FilterSubject: "postback.v1.*.*.rate.*", InactiveThreshold: time.Hour, Metadata: map[string]string{stream.InspectMetadata: "tail"}},
		{Durable: "shop", FilterSubjects: []string{"postback.v1.messenger.*.order.*", "postback.v1.*.PAGE.help._"}},
	} {
		if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", c); err != nil {
			t.Fatal(err)
		}
	}
	check(time.Time{}, "rate.5=1")
	again := prometheus.NewRegistry()
	mustOpenWith(t, cfg, again)
	eventually(t, "the metric tells it", func() bool { return metric(t, again, "gateway_unclaimed_subjects") == 1 })
}
