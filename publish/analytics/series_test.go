package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// seriesOf is an empty stream with a series of it.
func seriesOf(t *testing.T) (js jetstream.JetStream, link *natsconn.Link, cfg stream.Settings, s *analytics.Series) {
	t.Helper()
	c := publishtest.EmbeddedConfig(t)
	publishtest.Open(t, c)
	js = natstest.JetStream(t, "", publishtest.InProcess(c))
	return js, &natsconn.Link{NC: js.Conn(), JS: js}, c.Settings, &analytics.Series{Keep: 24 * time.Hour}
}

func publish(t *testing.T, js jetstream.JetStream, action string, n int) {
	t.Helper()
	for range n {
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "postback.v1.messenger.1.plan." + action}); err != nil {
			t.Fatal(err)
		}
	}
}

func total(s *analytics.Series) (events uint64, bySubject string) {
	counts := make(map[string]uint64)
	s.Each(time.Now().Add(-time.Hour), func(_ time.Time, subject string, n uint64) {
		events += n
		counts[subject] += n
	})
	return events, fmt.Sprint(counts)
}

// TestSeries: an event is read once, and counted once, however the window grows and
// however often a scan is canceled.
func TestSeries(t *testing.T) {
	js, link, cfg, s := seriesOf(t)
	var scan analytics.Scan
	update := func(since time.Duration) error {
		return s.Update(t.Context(), link, cfg, time.Now().Add(-since), scan)
	}
	if err := update(time.Minute); err != nil {
		t.Fatal(err)
	}
	if n, _ := total(s); n != 0 {
		t.Fatalf("%d of nothing", n)
	}
	publish(t, js, "pro", 3)
	publish(t, js, "free", 2)
	for range 2 {
		if err := update(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if n, by := total(s); n != 5 || by != "map[postback.v1.messenger.1.plan.free:2 postback.v1.messenger.1.plan.pro:3]" {
		t.Errorf("counted %s", by)
	}
	publish(t, js, "pro", 2500)
	ctx, cancel := context.WithCancel(t.Context())
	scan.Progress = func(uint64, uint64) { cancel() }
	// What the client has received already may end the scan before it sees the cancel.
	if err := s.Update(ctx, link, cfg, time.Now().Add(-time.Minute), scan); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	scan.Progress = nil
	for _, since := range []time.Duration{time.Minute, 3 * time.Hour, time.Hour} {
		if err := update(since); err != nil {
			t.Fatal(err)
		}
		if n, by := total(s); n != 2505 {
			t.Errorf("since %s: %s", since, by)
		}
	}
}

// TestSeriesOfAnotherStream: a stream that was created again is counted again.
func TestSeriesOfAnotherStream(t *testing.T) {
	js, link, cfg, s := seriesOf(t)
	publish(t, js, "pro", 3)
	since := time.Now().Add(-time.Hour)
	if err := s.Update(t.Context(), link, cfg, since, analytics.Scan{}); err != nil {
		t.Fatal(err)
	}
	config := publishtest.Info(t, js, cfg.Stream).Config
	if err := js.DeleteStream(t.Context(), cfg.Stream); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the stream is there again", func() bool {
		_, err := js.CreateOrUpdateStream(t.Context(), config) // the gateway creates it too
		return err == nil
	})
	publish(t, js, "free", 5)
	if err := s.Update(t.Context(), link, cfg, since, analytics.Scan{}); err != nil {
		t.Fatal(err)
	}
	if n, by := total(s); n != 5 {
		t.Errorf("counted %s", by)
	}
}
