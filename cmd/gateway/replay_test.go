package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestReplay: a consumer that has failed five times on an event receives it again, with
// its id, and nobody else does.
func TestReplay(t *testing.T) {
	p := startGateway(t, t.TempDir())
	js := natstest.JetStream(t, p.at.NATS)
	consumer := func(cfg jetstream.ConsumerConfig) jetstream.Consumer {
		c, err := js.CreateConsumer(t.Context(), "POSTBACKS", cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	billing := consumer(jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "postback.v1.*.*.plan.>", MaxDeliver: 5})
	archive := consumer(jetstream.ConsumerConfig{Durable: "archive"})
	consumer(jetstream.ConsumerConfig{Durable: "answering", DeliverPolicy: jetstream.DeliverNewPolicy})
	for _, id := range []string{"a", "b", "c"} {
		body := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: map[string]string{"a": "rate:5", "b": "plan:pro", "c": "plan:free"}[id], ID: id})
		if status, text := p.post(p.secret(), body); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	drain(t, archive, 3, (jetstream.Msg).Ack)
	fails := func(m jetstream.Msg) error {
		if strings.HasSuffix(m.Subject(), ".pro") {
			return m.Nak()
		}
		return m.Ack()
	}
	if got := drain(t, billing, 6, fails); strings.Count(got, "b") != 5 || strings.Count(got, "c") != 1 {
		t.Errorf("billing got %s", got)
	}
	natstest.Eventually(t, "it has given up", func() bool {
		text, _ := p.run("replay", "--given-up", "billing", "--dry-run", "--json")
		return strings.Contains(text, `"events":2,"given_up":[{"consumer":"billing","stream_seq":2,"deliveries":5,`)
	})
	for _, test := range []struct{ args, input, want string }{
		{"--given-up billing --dry-run", "", "Consumer billing would receive 2 events from event 2 on"},
		{"--given-up archive --dry-run", "", "gateway: no stored event matches"},
		{"--consumer answering --since 1h", "", "deliver policy new"},
		{"--consumer relay --since 1h", "", "the gateway's own"},
		{"--consumer nobody --since 1h", "", "consumer not found"},
		{"--consumer billing", "", "expected where to begin"},
		{"--since 1h", "", "expected --consumer NAME, --given-up NAME, or a filter of dead letters such as 'deadletter.>'"},
		{"--consumer billing --id c --dry-run", "", "would receive 1 events from event 3 on"},
		{"--consumer billing plan:pro --dry-run", "", "would receive 2 events from event 2 on"},
		{"--consumer archive --since 1h --dry-run", "", "would receive 3 events from event 1 on"},
		{"--consumer billing --id nothing --dry-run", "", "no stored event matches"},
		{"--given-up billing", "", "gateway: not replayed"},
	} {
		text, _ := p.run(append([]string{"replay"}, strings.Fields(test.args)...)...)
		if !strings.Contains(strings.ReplaceAll(text, "\n", " "), test.want) {
			t.Errorf("replay %s:\n%s", test.args, text)
		}
	}
	if got := drain(t, billing, 0, (jetstream.Msg).Ack); got != "" {
		t.Errorf("after dry runs billing got %s", got)
	}
	if text, status := p.run("replay", "--given-up", "billing", "--yes"); status != exitDone || !strings.Contains(text, "Consumer billing receives 2 events.") ||
		!strings.Contains(text, `"msg":"events are replayed to a consumer","user":"`) || !strings.Contains(text, `"consumer":"billing","stream_seq":2,"events":2,"given_up":1`) {
		t.Errorf("replay: status %d\n%s", status, text)
	}
	if text, _ := p.run("replay", "--given-up", "billing", "--dry-run"); !strings.Contains(text, "nothing to replay") {
		t.Errorf("what was replayed is still listed as given up:\n%s", text)
	}
	if got := drain(t, billing, 2, (jetstream.Msg).Ack); got != "b c" {
		t.Errorf("after the replay billing got %q", got)
	}
	if got := drain(t, archive, 0, (jetstream.Msg).Ack); got != "" {
		t.Errorf("after the replay archive got %q", got)
	}
	p.terminate()
}

// drain returns the ids of what a consumer gets: it waits for n messages, and takes more
// if they come soon.
func drain(t *testing.T, c jetstream.Consumer, n int, handle func(jetstream.Msg) error) string {
	t.Helper()
	var ids []string
	for {
		wait := 500 * time.Millisecond
		if len(ids) < n {
			wait = natstest.Patience
		}
		m, err := c.Next(jetstream.FetchMaxWait(wait))
		if err != nil {
			return strings.Join(ids, " ")
		}
		id := m.Headers().Get(jetstream.MsgIDHeader)
		ids = append(ids, id[strings.LastIndexByte(id, ':')+1:])
		if err := handle(m); err != nil {
			t.Fatal(err)
		}
	}
}
