package analytics

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// testPacer has a clock of its own. rested is how long it has rested.
func testPacer(link *natsconn.Link) (p *pacer, clock *time.Time, rested *time.Duration) {
	p, clock, rested = newPacer(link, "S"), new(time.Time), new(time.Duration)
	*clock = time.Unix(1_800_000_000, 0)
	p.now = func() time.Time { return *clock }
	p.sleep = func(_ context.Context, d time.Duration) {
		*rested += d
		*clock = clock.Add(d)
	}
	return p, clock, rested
}

// streamOf returns a stream with events, and what stores more.
func streamOf(t *testing.T, events int) (link *natsconn.Link, store func(int)) {
	js := natstest.JetStream(t, natstest.Start(t, "").URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	store = func(n int) {
		for range n {
			if _, err := js.Publish(t.Context(), "s", nil); err != nil {
				t.Error(err)
			}
		}
	}
	store(events)
	return &natsconn.Link{NC: js.Conn(), JS: js}, store
}

// TestPacer: a scan rests after each time of work in which events were stored, whether
// that is the first or a later one, and only then.
func TestPacer(t *testing.T) {
	link, store := streamOf(t, 3)
	p, clock, rested := testPacer(link)
	after := func(what string, worked time.Duration, events int, want time.Duration) {
		t.Helper()
		store(events)
		*rested, *clock = 0, clock.Add(worked)
		if p.wait(t.Context()); *rested != want {
			t.Errorf("%s: it rested %s, want %s", what, *rested, want)
		}
	}
	after("at the start", 0, 0, 0)
	after("its time to work is not over", workTime-1, 100, 0)
	after("events were stored", 1, 0, restTime)
	after("they still are", workTime, 100, restTime)
	after("one was stored", workTime, 1, 0)
	after("few are stored", time.Second, busyRate, 0)
	after("none is stored", workTime, 0, 0)
	after("two were stored at once", workTime, 2, restTime)
	p.last = func(context.Context) (uint64, error) { return 0, errors.New("the server is away") }
	after("the server does not respond", workTime, 0, restTime)
}

// TestScanPaces: a scan rests while events are stored, unless it is at full speed.
func TestScanPaces(t *testing.T) {
	const events = 100
	for _, fullSpeed := range []bool{false, true} {
		link, store := streamOf(t, events)
		p, clock, rested := testPacer(link)
		scan := Scan{Stream: "S", FullSpeed: fullSpeed, pacer: p}
		read := 0
		err := scan.Run(t.Context(), link, func(*stream.Message) {
			read++
			store(10)
			*clock = clock.Add(workTime / 2)
		})
		// It worked for 50 times 10 ms. Before the first of them nothing is known.
		if want := 50 * restTime; err != nil || read != events || fullSpeed && *rested != 0 || !fullSpeed && *rested < want-2*restTime {
			t.Errorf("full speed %t: %d events, %v, rested %s", fullSpeed, read, err, *rested)
		}
	}
}
