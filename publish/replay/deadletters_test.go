package replay_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

func TestMain(m *testing.M) { os.Exit(natstest.Run(m)) }

// setup is a store with dead letters, and a parser that understands a body of the form
// "ID PAYLOAD" for each line, where an older one understood none.
type setup struct {
	*replay.Gateway
	t         *testing.T
	js        jetstream.JetStream
	limit     int
	published int // by the replay
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	cfg := publishtest.EmbeddedConfig(t)
	return newSetupOn(t, cfg, natstest.JetStream(t, "", publishtest.InProcess(cfg)))
}

func newSetupOn(t *testing.T, cfg publish.Config, js jetstream.JetStream) *setup {
	t.Helper()
	cfg.Forward = true
	p := publishtest.Open(t, cfg)
	s := &setup{t: t, js: js, limit: 1 << 20}
	s.Gateway = &replay.Gateway{
		Link:    func() (*natsconn.Link, error) { return &natsconn.Link{NC: s.js.Conn(), JS: s.js}, nil },
		Streams: cfg.Settings, Parse: parse, GivenUp: p.Monitor().GivenUpCounts,
		Publish: func(ctx context.Context, items []schema.Item) ([]schema.Outcome, error) {
			s.published += len(items)
			return p.Publish(ctx, items)
		},
		Limit:    func() (int, error) { return s.limit, nil },
		Forwards: func(webhook, _ string) bool { return webhook == "meta" },
	}
	return s
}

func parse(d *schema.DeadLetter) ([]schema.Item, error) {
	if d.Truncated {
		return nil, errors.New("truncated")
	}
	var items []schema.Item
	for line := range strings.Lines(d.Body) {
		id, payload, isClick := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case isClick:
			items = append(items, publishtest.Click(id, payload))
		case id != "-":
			items = append(items, publishtest.Rubbish(id))
		}
	}
	return items, nil
}

// store stores dead letters.
func (s *setup) store(letters ...schema.Item) {
	s.t.Helper()
	for _, item := range letters {
		m, err := item.Message(s.Streams.EventSubjects(), 4096)
		if err != nil {
			s.t.Fatal(err)
		}
		var entry stream.Entry
		s.Streams.Fill(&entry, &m)
		if _, err := s.js.PublishMsg(s.t.Context(), entry.Msg); err != nil {
			s.t.Fatal(err)
		}
	}
}

func letter(reason schema.Reason, received time.Time, body string) schema.Item {
	return schema.Item{Body: []byte(body), Rejection: schema.Rejection{Reason: reason, Platform: "meta", ReceivedAt: received}}
}

// replay returns what became of each dead letter: its sequence, result and events.
func (s *setup) replay(selection replay.Selection) string {
	s.t.Helper()
	batch, err := s.DeadLetters(s.t.Context(), selection)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, l := range batch.Letters {
		text := fmt.Sprint(l.Sequence, " ", l.Result)
		for _, e := range l.Events {
			text += " " + e.ID[strings.LastIndexByte(e.ID, ':')+1:]
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (s *setup) stored(stream string) uint64 { return publishtest.Info(s.t, s.js, stream).State.Msgs }

// TestDeadLetters: what is an event now is stored once, also if it is stored already and
// the server has forgotten its id. What is not stays a dead letter.
func TestDeadLetters(t *testing.T) {
	s := newSetup(t)
	longAgo := time.Now().Add(-3 * time.Hour) // longer than the duplicate window
	known, forgotten := publishtest.Click("known", "plan:pro"), publishtest.Click("forgotten", "plan:pro")
	if _, err := s.Publish(t.Context(), []schema.Item{known, forgotten}); err != nil {
		t.Fatal(err)
	}
	delivery := &schema.Delivery{Webhook: "meta", Account: "1", Header: map[string][]string{"X-Hub-Signature-256": {"sha256=00"}}}
	forwarded := letter(schema.ReasonNotForwarded, longAgo, "raw")
	forwarded.Origin = delivery
	other := forwarded
	other.Rejection.Platform = "telegram"
	s.store(
		letter(schema.ReasonMalformed, time.Now(), "a plan:pro"),
		letter(schema.ReasonMalformed, time.Now(), "known plan:pro"),
		letter(schema.ReasonMalformed, longAgo, "forgotten plan:pro"),
		letter(schema.ReasonMalformed, longAgo, "b plan:pro\nstill-malformed"),
		letter(schema.ReasonMalformed, time.Now(), "-"),
		letter(schema.ReasonNotJSON, time.Now(), strings.Repeat("x", 5000)),
		letter(schema.ReasonNotRelayed, time.Now(), "c plan:pro"),
		forwarded, other,
	)
	want := "1 stored a, 2 stored known, 3 duplicate forgotten, 4 malformed b, 5 no_event, 6 unusable, 7 unusable, 8 forwarded, 9 unusable"
	s.published = 0
	if got := s.replay(replay.Selection{DryRun: true}); got != want || s.published > 0 || s.stored("POSTBACKS_DEADLETTER") != 9 {
		t.Errorf("dry run: got %s, published %d", got, s.published)
	}
	want = strings.Replace(want, "2 stored", "2 duplicate", 1) // only the server knows
	if got := s.replay(replay.Selection{}); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if s.published != 4 {
		t.Errorf("%d items were published: expected a, known, b and the delivery", s.published)
	}
	if events, left := s.stored("POSTBACKS"), s.stored("POSTBACKS_DEADLETTER"); events != 4 || left != 5 {
		t.Errorf("%d events, %d dead letters", events, left)
	}
	if got := publishtest.Stored(t, s.js, "POSTBACKS_DELIVERIES"); len(got) != 1 || string(got[0].Data) != "raw" ||
		got[0].Subject != "delivery.postback.v1.meta.1" || got[0].Header.Get("Platform-X-Hub-Signature-256") != "sha256=00" {
		t.Errorf("deliveries to forward: %+v", got)
	}
	if got := s.replay(replay.Selection{}); got != "4 malformed b, 5 no_event, 6 unusable, 7 unusable, 9 unusable" || s.stored("POSTBACKS") != 4 {
		t.Errorf("again: %s", got)
	}
}

// TestDeadLettersSelected: only what is selected is replayed.
func TestDeadLettersSelected(t *testing.T) {
	s := newSetup(t)
	s.store(letter(schema.ReasonMalformed, time.Now(), "a x"), letter(schema.ReasonNotJSON, time.Now(), "b x"), letter(schema.ReasonMalformed, time.Now(), "c x"))
	b := letter(schema.ReasonNotJSON, time.Now(), "b x")
	m, err := b.Message(s.Streams.EventSubjects(), 4096)
	if err != nil {
		t.Fatal(err)
	}
	for want, selection := range map[string]replay.Selection{
		"1 stored a, 2 stored b, 3 stored c": {},
		"2 stored b":                         {Filters: []string{"deadletter.*.*.*.not_json"}},
		"2 stored b, 3 stored c":             {From: 2},
		"":                                   {Since: time.Now().Add(time.Hour)},
		"3 stored c, 1 stored a":             {Sequences: []uint64{3, 1, 77}},
	} {
		selection.DryRun = true
		if got := s.replay(selection); got != want {
			t.Errorf("%+v: got %s, want %s", selection, got, want)
		}
	}
	for _, id := range []string{m.ID, m.ID[strings.LastIndexByte(m.ID, ':')+1:]} {
		if got := s.replay(replay.Selection{ID: id, DryRun: true}); got != "2 stored b" {
			t.Errorf("%s: got %s", id, got)
		}
	}
	s.limit = 100
	if got := s.replay(replay.Selection{}); got != "1 malformed, 2 malformed, 3 malformed" || s.stored("POSTBACKS_DEADLETTER") != 3 {
		t.Errorf("events that are too large: %s", got)
	}
}

// TestDeadLettersReplayedTwiceAtOnce: the other replay has removed the dead letter first.
func TestDeadLettersReplayedTwiceAtOnce(t *testing.T) {
	s := newSetup(t)
	s.store(publishtest.Rubbish("m-1 plan:pro"), publishtest.Rubbish("m-2 plan:pro"))
	letters, err := s.js.Stream(t.Context(), s.Streams.Name(stream.DeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	store := s.Publish
	s.Publish = func(ctx context.Context, items []schema.Item) ([]schema.Outcome, error) {
		if err := letters.Purge(ctx, jetstream.WithPurgeSequence(2)); err != nil {
			t.Error(err)
		}
		return store(ctx, items)
	}
	batch, err := s.DeadLetters(t.Context(), replay.Selection{})
	if err != nil || len(batch.Letters) != 2 {
		t.Fatalf("%+v, %v: expected two dead letters", batch, err)
	}
}

// TestOldDeadLettersOfKnownEvents: the publisher has the ids, so nothing searches the stream.
// Each search would leave a consumer to the server for some seconds, up to a limit.
func TestOldDeadLettersOfKnownEvents(t *testing.T) {
	cfg := publishtest.EmbeddedConfig(t)
	cfg.Indexed, cfg.DuplicateWindow = true, time.Hour
	s := newSetupOn(t, cfg, natstest.JetStream(t, "", publishtest.InProcess(cfg)))
	if _, err := s.Publish(t.Context(), []schema.Item{publishtest.Click("known", "plan:pro")}); err != nil {
		t.Fatal(err)
	}
	s.published = 0
	s.store(letter(schema.ReasonMalformed, time.Now().Add(-30*time.Minute), "known plan:pro"))
	if got := s.replay(replay.Selection{}); got != "1 duplicate known" || s.published != 1 {
		t.Errorf("got %s, and %d items were published: expected the event", got, s.published)
	}
}

// TestDeadLettersInBatches goes through more than one batch, each once.
func TestDeadLettersInBatches(t *testing.T) {
	s := newSetup(t)
	for i := range 250 {
		s.store(letter(schema.ReasonMalformed, time.Now(), fmt.Sprintf("id%d plan:pro", i)))
	}
	n, batches := 0, 0
	for next := uint64(0); ; {
		batch, err := s.DeadLetters(t.Context(), replay.Selection{From: next})
		if err != nil {
			t.Fatal(err)
		}
		n, batches, next = n+len(batch.Letters), batches+1, batch.Next
		if next == 0 {
			break
		}
	}
	if n != 250 || batches != 3 || s.stored("POSTBACKS") != 250 || s.stored("POSTBACKS_DEADLETTER") != 0 {
		t.Errorf("%d dead letters in %d batches, %d events", n, batches, s.stored("POSTBACKS"))
	}
}

// TestOverview lists the last dead letters, and consumers with why they cannot be reset.
func TestOverview(t *testing.T) {
	s := newSetup(t)
	for i := range 60 {
		s.store(letter(schema.ReasonMalformed, time.Now(), fmt.Sprint("rubbish", i)))
	}
	dead, err := s.js.Stream(t.Context(), "POSTBACKS_DEADLETTER")
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(20) { // a hole that the list goes back over
		if err := dead.DeleteMsg(t.Context(), seq+30); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []jetstream.ConsumerConfig{{Durable: "b"}, {Durable: "a", DeliverPolicy: jetstream.DeliverNewPolicy}, {Durable: stream.FallbackConsumer}} {
		if _, err := s.js.CreateConsumer(t.Context(), "POSTBACKS", c); err != nil {
			t.Fatal(err)
		}
	}
	o, err := s.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.DeadLetters != 40 || o.ByReason["malformed_item"] != 40 || len(o.Last) != 40 || o.Last[0].Sequence != 60 || o.Last[39].Sequence != 1 || o.Last[0].Platform != "meta" {
		t.Errorf("%+v", o)
	}
	if len(o.Consumers) != 2 || o.Consumers[0].Name != "a" || !strings.Contains(o.Consumers[0].Why, "deliver policy new") || o.Consumers[1].Why != "" {
		t.Errorf("%+v", o.Consumers)
	}
	if n, err := s.Count(t.Context()); n != 40 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
