package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

func TestSumUp(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var consumers []Consumer
	for i := consumerLimit + 2; i >= 0; i-- {
		consumers = append(consumers, Consumer{Name: fmt.Sprintf("c%03d", i), Pending: 2, Since: now.Add(-time.Duration(i) * time.Second)})
	}
	consumers = append(consumers, Consumer{Name: "idle"})
	sums := sumUp(consumers, now)
	if len(sums) != consumerLimit+1 {
		t.Errorf("%d series", len(sums))
	}
	if got := sums["c099"]; got != (consumerLag{2, 99 * time.Second}) {
		t.Errorf("the last one with a series of its own: %+v", got)
	}
	if got := sums[otherConsumers]; got != (consumerLag{6, 102 * time.Second}) {
		t.Errorf("the others: %+v", got)
	}
}

func TestCheckFree(t *testing.T) {
	if err := (Disk{Free: diskReserve, Size: 1 << 40}).check("/data"); err != nil {
		t.Error(err)
	}
	want := "the disk of the data directory /data is full: 63 MiB are free, 64 MiB are kept in reserve; free some space"
	if err := (Disk{Free: diskReserve - 1, Size: 1 << 40}).check("/data"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// openMonitor opens one on an embedded server.
func openMonitor(t *testing.T) (*Monitor, *embedded.Server, *natstest.Log) {
	t.Helper()
	server, err := embedded.Start(embedded.Config{Dir: t.TempDir(), DontListen: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	log := &natstest.Log{}
	m, err := Open(t.Context(), Config{
		NATS: natsconn.Config{InProcess: server}, AckTimeout: time.Second, Use: "stored",
		Streams: stream.Settings{Root: "postback.v1", Stream: "POSTBACKS", DuplicateWindow: time.Minute},
		Log:     slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m, server, log
}

// TestTasks: an error is logged once, until the task has succeeded or fails otherwise. A
// task that hangs holds up no other one.
func TestTasks(t *testing.T) {
	m, _, log := openMonitor(t)
	m.Every(time.Millisecond, "it hangs", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	one, other := errors.New("one"), errors.New("other")
	results := []error{one, one, nil, one, other, other, nil}
	done := make(chan struct{})
	m.Every(time.Millisecond, "it stays as it is", func(context.Context) error {
		if len(results) == 0 {
			return nil
		}
		err := results[0]
		if results = results[1:]; len(results) == 0 {
			close(done)
		}
		return err
	})
	<-done
	var told []string
	for line := range strings.Lines(log.String()) {
		if _, text, found := strings.Cut(line, "it stays as it is"); found {
			told = append(told, strings.TrimSpace(text))
		}
	}
	if got := strings.Join(told, ", "); got != `" stream=POSTBACKS error=one, " stream=POSTBACKS error=one, " stream=POSTBACKS error=other` {
		t.Errorf("logged: %s", got)
	}
}

// TestTasksWithoutConnection: the loss of the connection is logged by itself.
func TestTasksWithoutConnection(t *testing.T) {
	m, server, log := openMonitor(t)
	server.Shutdown()
	natstest.Eventually(t, "the connection is lost", func() bool { return !m.Conn.Online() })
	calls := make(chan struct{}, 10)
	m.Every(time.Millisecond, "it stays as it is", func(context.Context) error {
		calls <- struct{}{}
		return errors.New("not connected")
	})
	<-calls
	<-calls
	if strings.Contains(log.String(), "it stays as it is") {
		t.Errorf("log: %s", log)
	}
}

// TestStaleCount: the server may say that nothing is pending although an event has just
// been stored.
func TestStaleCount(t *testing.T) {
	m, _, _ := openMonitor(t)
	link, err := m.Conn.Link()
	if err != nil {
		t.Fatal(err)
	}
	store := func(n int) {
		t.Helper()
		for range n {
			if _, err := link.JS.Publish(t.Context(), "postback.v1.messenger.PAGE.plan.x", []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := link.JS.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "service", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	store(3)
	messages, err := c.Fetch(3)
	if err != nil {
		t.Fatal(err)
	}
	for message := range messages.Messages() {
		if err := message.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stale, err := c.Info(t.Context())
	if err != nil || stale.NumPending != 0 {
		t.Fatalf("%+v, %v", stale, err)
	}
	store(1)
	s, err := m.eventStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.consumer(t.Context(), stale); err != nil || got.First != 4 || got.Pending != 1 {
		t.Errorf("%+v, %v: the fourth event was not delivered", got, err)
	}
}
