package monitor_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/schema"
)

func other(t *testing.T, id int) schema.Item {
	t.Helper()
	e, err := schema.New(fmt.Sprintf("m%d:message", id), time.Now(), schema.Data{
		Platform: schema.Messenger, Account: schema.Account{ID: "PAGE"}, User: schema.User{ID: "U"}, What: "message",
		Channel: schema.ChannelPrimary, ReceivedAt: time.Now(), Raw: json.RawMessage(`"` + strings.Repeat("x", 10<<10) + `"`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return schema.Item{Event: e}
}

// TestFullStreamOfOthers: the stream of other items has the limits of the events' stream:
// what is acknowledged makes room, and nothing else does.
func TestFullStreamOfOthers(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.StoreOther, cfg.MaxBytes = true, publishtest.SmallStream
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	if _, err := js.CreateConsumer(t.Context(), "POSTBACKS_OTHER", jetstream.ConsumerConfig{Durable: "service", AckPolicy: jetstream.AckAllPolicy}); err != nil {
		t.Fatal(err)
	}
	id := 0
	publish := func() error {
		id++
		_, err := p.Publish(withDeadline(t, 5*time.Second), []schema.Item{other(t, id)})
		return err
	}
	for err := error(nil); err == nil; err = publish() {
	}
	state := publishtest.Info(t, js, "POSTBACKS_OTHER").State
	if state.FirstSeq != 1 {
		t.Fatalf("items that nobody has read were dropped: first %d", state.FirstSeq)
	}
	natstest.Eventually(t, "readiness tells of the stream", func() bool {
		err := p.Ready(withDeadline(t, 5*time.Second))
		return err != nil && strings.Contains(err.Error(), "POSTBACKS_OTHER") && strings.Contains(err.Error(), "consumer service has")
	})
	c, err := js.Consumer(t.Context(), "POSTBACKS_OTHER", "service")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.Fetch(int(state.Msgs / 2))
	if err != nil {
		t.Fatal(err)
	}
	var last jetstream.Msg
	for m := range batch.Messages() {
		last = m
	}
	if err := last.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "items are stored again", func() bool { return publish() == nil })
	if first := publishtest.Info(t, js, "POSTBACKS_OTHER").State.FirstSeq; first == 1 || first > state.Msgs/2+1 {
		t.Errorf("first %d, half of %d read", first, state.Msgs)
	}
}
