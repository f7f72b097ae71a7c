package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

func TestPublishStoresEventsInOrder(t *testing.T) {
	cfg := embeddedConfig(t)
	p := mustOpen(t, cfg)
	const n = 3 * stream.MaxBatch / 2 // more than one window
	for i, outcome := range mustPublish(t, p, clicks("m", n)...) {
		if outcome != schema.Stored {
			t.Fatalf("outcome %d: %s", i, outcome)
		}
	}
	all := stored(t, natstest.JetStream(t, "", inProcess(cfg)), "POSTBACKS")
	if len(all) != n {
		t.Fatalf("stored %d of %d", len(all), n)
	}
	for i, m := range all {
		if got, want := m.Header.Get("Nats-Msg-Id"), fmt.Sprintf("messenger:PAGE:m-%d", i); got != want {
			t.Fatalf("message %d has the id %s, want %s", i, got, want)
		}
	}
	m := all[0]
	if m.Subject != "postback.v1.messenger.PAGE.plan.enterprise" || m.Header.Get("Content-Type") != schema.ContentType {
		t.Errorf("subject %s, header %v", m.Subject, m.Header)
	}
	var event schema.Event
	if err := json.Unmarshal(m.Data, &event); err != nil || event.ID != "m-0" {
		t.Errorf("event %+v: %v", event, err)
	}
}

// TestPartitions: each person's events are in one partition, and a click is recognized as
// a duplicate whatever the number of partitions was when it was stored.
func TestPartitions(t *testing.T) {
	cfg := embeddedConfig(t)
	by := func(user string) schema.Item {
		return clickBy("m-"+user, schema.Messenger, "1", schema.User{ID: user})
	}
	want := map[int]string{0: "plan.x", 1: "plan.x.p0", 3: "plan.x.p2", 64: "plan.x.p3"}
	for _, partitions := range []int{0, 1, 3, 64} {
		cfg.Partitions = partitions
		p := mustOpen(t, cfg)
		mustPublish(t, p, by(fmt.Sprint(partitions)))
		for _, user := range []string{"0", "1", "3", "64"} {
			if n, _ := strconv.Atoi(user); n <= partitions {
				if got := mustPublish(t, p, by(user)); got[0] != schema.Duplicate {
					t.Errorf("with %d partitions the click of %s is %s", partitions, user, got[0])
				}
			}
		}
	}
	all := stored(t, natstest.JetStream(t, "", inProcess(cfg)), "POSTBACKS")
	if len(all) != len(want) {
		t.Errorf("%d messages", len(all))
	}
	for _, m := range all {
		var e schema.Event
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(e.Data.User.ID)
		if !strings.HasSuffix(m.Subject, want[n]) {
			t.Errorf("%s of %d partitions, want %s", m.Subject, n, want[n])
		}
	}
}

func TestPublishTellsDuplicatesAndDeadLetters(t *testing.T) {
	cfg := embeddedConfig(t)
	reg := prometheus.NewRegistry()
	p, _ := mustOpenWith(t, cfg, reg)
	items := []schema.Item{click("a", "x:1"), rubbish("no json"), click("b", "x:2")}
	if got, want := mustPublish(t, p, items...), []schema.Outcome{schema.Stored, schema.Rejected, schema.Stored}; !slices.Equal(got, want) {
		t.Errorf("first: %v, want %v", got, want)
	}
	items = append(items, click("c", "x:3"), click("c", "x:3"))
	want := []schema.Outcome{schema.Duplicate, schema.Rejected, schema.Duplicate, schema.Stored, schema.Duplicate}
	if got := mustPublish(t, p, items...); !slices.Equal(got, want) {
		t.Errorf("again: %v, want %v", got, want)
	}
	letters := stored(t, natstest.JetStream(t, "", inProcess(cfg)), "POSTBACKS_DEADLETTER")
	if len(letters) != 1 || letters[0].Subject != "deadletter.postback.v1.meta.not_json" {
		t.Errorf("dead letters: %v", letters)
	}
	if n := metric(t, reg, "gateway_deadletters_total", "not_json"); n != 1 {
		t.Errorf("gateway_deadletters_total is %v: a repeated one is not stored again", n)
	}
}

func TestPublishOversizeEventBecomesDeadLetter(t *testing.T) {
	cfg := embeddedConfig(t)
	p := mustOpen(t, cfg)
	big := click("big", "plan:"+strings.Repeat("x", 2<<20))
	big.Body = []byte(`"` + strings.Repeat("\x01", 2<<20) + `"`) // each byte takes six in JSON
	if got := mustPublish(t, p, click("a", "x"), big, click("b", "x")); !slices.Equal(got, []schema.Outcome{schema.Stored, schema.Rejected, schema.Stored}) {
		t.Fatalf("outcomes %v", got)
	}
	letters := stored(t, natstest.JetStream(t, "", inProcess(cfg)), "POSTBACKS_DEADLETTER")
	var d schema.DeadLetter
	if err := json.Unmarshal(letters[0].Data, &d); err != nil {
		t.Fatal(err)
	}
	if d.Reason != schema.ReasonTooLarge || !d.Truncated || d.Length != 2<<20+2 || d.Body == "" {
		t.Errorf("dead letter %s: %s, truncated %v, length %d, body of %d", d.Reason, d.Detail, d.Truncated, d.Length, len(d.Body))
	}
}

func TestPublishHeedsTheStreamsMessageSize(t *testing.T) {
	cfg := embeddedConfig(t)
	want := cfg.Settings.Config(stream.Events)
	want.Replicas, want.MaxMsgSize = 1, 8192
	if _, err := natstest.JetStream(t, "", inProcess(cfg)).CreateStream(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, cfg)
	if got := mustPublish(t, p, click("a", strings.Repeat("x", 9000))); got[0] != schema.Rejected {
		t.Errorf("outcome %v", got)
	}
}

func TestPublishLargeDeliveryAndManyAtOnce(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.AckTimeout = 20 * time.Second // a machine that stands still for a second opens no circuit breaker
	p := mustOpen(t, cfg)
	if got := mustPublish(t, p, clicks("large", 20_000)...); slices.ContainsFunc(got, func(o schema.Outcome) bool { return o != schema.Stored }) {
		t.Error("not all of 20,000 were stored")
	}
	var group sync.WaitGroup
	for i := range 512 {
		group.Go(func() {
			if _, err := p.Publish(withDeadline(t, 20*time.Second), clicks(fmt.Sprintf("many-%d", i), 10)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := info(t, natstest.JetStream(t, "", inProcess(cfg)), "POSTBACKS").State.Msgs; n != 20_000+512*10 {
		t.Errorf("stored %d", n)
	}
}

func TestPublishFullStreamIsRefusedAtOnce(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MaxBytes = 20_000
	p := mustOpen(t, cfg)
	outcomes, err := p.Publish(withDeadline(t, 10*time.Second), append(clicks("m", 100), rubbish("x")))
	if err == nil || !strings.Contains(err.Error(), "stream POSTBACKS refuses: nats: API error: code=503 err_code=10077 description=maximum bytes exceeded") {
		t.Fatalf("error %v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a refusal was retried until the time was over: %v", err)
	}
	if outcomes[0] != schema.Stored || outcomes[99] != schema.Failed {
		t.Errorf("outcomes %v", outcomes)
	}
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "stream POSTBACKS is full") {
		t.Errorf("Ready: %v", err)
	}
}

func TestPublishWhereAnotherStreamAnswers(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	p := mustOpen(t, cfg)
	tries := 0
	eventually(t, "the other stream is named", func() bool {
		tries++
		replaceStream(t, js)
		outcomes, err := p.Publish(t.Context(), clicks(fmt.Sprint("m", tries), 1))
		return err != nil && strings.Contains(err.Error(), "stream OTHER stored what belongs into POSTBACKS") && outcomes[0] == schema.Failed
	})
}

// A stream that somebody deletes is made again, within the request that finds it
// missing.
func TestDeletedStreamIsMadeAgain(t *testing.T) {
	cfg := embeddedConfig(t)
	p := mustOpen(t, cfg)
	mustPublish(t, p, clicks("m", 3)...)
	js := natstest.JetStream(t, "", inProcess(cfg))
	for _, name := range []string{cfg.Stream, "POSTBACKS_DEADLETTER"} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		outcomes := mustPublish(t, p, append(clicks("n-"+name, 2), rubbish(name))...)
		if want := []schema.Outcome{schema.Stored, schema.Stored, schema.Rejected}; !slices.Equal(outcomes, want) {
			t.Errorf("after %s was deleted: %v", name, outcomes)
		}
	}
	if n := info(t, js, cfg.Stream).State.Msgs; n != 4 {
		t.Errorf("%d events stored", n)
	}
}

func TestPublishSync(t *testing.T) {
	cfg := embeddedConfig(t)
	var calls atomic.Int32
	broken := errors.New("sync: input/output error")
	var fail atomic.Bool
	cfg.Sync = func() error {
		calls.Add(1)
		if fail.Load() {
			return broken
		}
		return nil
	}
	reg := prometheus.NewRegistry()
	p, _ := mustOpenWith(t, cfg, reg)
	mustPublish(t, p, clicks("m", 20)...)
	mustPublish(t, p, clicks("m", 20)...)
	if calls.Load() != 2 {
		t.Errorf("%d calls for two deliveries, the second of duplicates", calls.Load())
	}
	fail.Store(true)
	outcomes, err := p.Publish(t.Context(), append(clicks("n", 2), rubbish("x")))
	if !errors.Is(err, broken) || slices.ContainsFunc(outcomes, func(o schema.Outcome) bool { return o != schema.Failed }) {
		t.Errorf("with a failed sync: %v, %v", outcomes, err)
	}
	if metric(t, reg, "gateway_deadletters_total", "not_json") != 0 {
		t.Error("a dead letter that is not durable was counted")
	}
	// From now on nothing is stored, whatever the disk says, and the process ends.
	fail.Store(false)
	if _, err := p.Publish(t.Context(), clicks("o", 1)); !errors.Is(err, broken) {
		t.Errorf("after a failed sync: %v", err)
	}
	if err := p.Ready(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Ready after a failed sync: %v", err)
	}
	select {
	case err := <-p.Err():
		if !errors.Is(err, broken) {
			t.Errorf("Err gives %v", err)
		}
	default:
		t.Error("Err gives nothing")
	}
}

func TestPublishNothing(t *testing.T) {
	p := mustOpen(t, embeddedConfig(t))
	if outcomes, err := p.Publish(t.Context(), nil); err != nil || len(outcomes) != 0 {
		t.Errorf("%v, %v", outcomes, err)
	}
}

func TestCloseWaitsAndRefuses(t *testing.T) {
	const closing = "the gateway is shutting down"
	cfg := embeddedConfig(t)
	held, entered := make(chan struct{}), make(chan struct{})
	cfg.Sync = func() error {
		close(entered)
		<-held
		return nil
	}
	p := mustOpen(t, cfg)
	published := make(chan error, 1)
	go func() {
		_, err := p.Publish(context.Background(), clicks("m", 1))
		published <- err
	}()
	<-entered
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := p.Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close with a publish under way: %v", err)
	}
	if outcomes, err := p.Publish(context.Background(), clicks("n", 2)); err == nil || err.Error() != closing || len(outcomes) != 2 {
		t.Errorf("Publish after Close: %v, %v", outcomes, err)
	}
	if err := p.Ready(t.Context()); err == nil || err.Error() != closing {
		t.Errorf("Ready after Close: %v", err)
	}
	close(held)
	if err := <-published; err != nil {
		t.Errorf("the publish under way: %v", err)
	}
}

func TestMetricsAreAllThere(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	p, _ := mustOpenWith(t, embeddedConfig(t), reg)
	mustPublish(t, p, clicks("m", 1)...)
	names := []string{
		"gateway_publish_duration_seconds", "gateway_nats_connected", "gateway_nats_reconnects_total", "gateway_deadletters_total",
		"gateway_sync_duration_seconds", "gateway_sync_batch_size", "gateway_unclaimed_subjects",
	}
	for _, name := range names {
		if n, err := testutil.GatherAndCount(reg, name); err != nil || n == 0 {
			t.Errorf("%s: %d series, %v", name, n, err)
		}
	}
	if n, _ := testutil.GatherAndCount(reg, "gateway_deadletters_total"); n != 5 {
		t.Errorf("gateway_deadletters_total has %d series from the start, want one per reason", n)
	}
	if metric(t, reg, "gateway_nats_connected") != 1 {
		t.Error("gateway_nats_connected is not 1")
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestClicksFitTheSmallestStream: the least that a stream may hold takes clicks as events.
func TestClicksFitTheSmallestStream(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MaxBytes = stream.MinBytes
	if got := mustPublish(t, mustOpen(t, cfg), click("m", "plan:enterprise"), rubbish("x")); got[0] != schema.Stored || got[1] != schema.Rejected {
		t.Errorf("outcomes %v", got)
	}
}
