package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
)

// TestReceiversAPI: the consumers of a subject, and where each is with the events of a
// delivery.
func TestReceiversAPI(t *testing.T) {
	c := newTestConsole(t)
	defer c.ring.Watch()()
	c.click("1", "plan:pro", "Pro")
	c.click("1", "help", "Help")
	billing := c.consumer("billing", "plan")
	c.consumer("archive", "")
	m, err := billing.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	of := func(seq int) (text string) {
		status, body := c.do("GET", c.delivery(seq-1)+"/receivers", "")
		var items []receivers
		if err := json.Unmarshal([]byte(body), &items); status != 200 || err != nil {
			t.Fatalf("%d %s", status, body)
		}
		for _, item := range items {
			for _, r := range item.Receivers {
				text += fmt.Sprintf("%s %s, ", r.Name, r.Position)
			}
			text += item.Note
		}
		return text
	}
	// The server counts an acknowledgement a little later than it confirms it.
	natstest.Eventually(t, "the positions are known", func() bool { return of(1) == "archive waiting, billing acknowledged, " })
	if got := of(2); got != "archive waiting, " {
		t.Errorf("of help: %s", got)
	}
	_, text := c.do("GET", "/api/receivers?subject=postback.v1.messenger.17.plan.free", "")
	if !strings.Contains(text, `"name":"billing"`) || !strings.Contains(text, `"name":"archive"`) {
		t.Errorf("of a subject without an event: %s", text)
	}
	for _, subject := range []string{"", "a..b", "postback.v1.messenger"} {
		if status, text := c.do("GET", "/api/receivers?subject="+subject, ""); status != 422 || !strings.Contains(text, "error") {
			t.Errorf("%q: %d %s", subject, status, text)
		}
	}
}

// TestConsumersAPI: how far each consumer is, and what it has given up.
func TestConsumersAPI(t *testing.T) {
	c := newTestConsole(t)
	for range 3 {
		c.click("1", "plan:pro", "Pro")
	}
	js := natstest.JetStream(t, "", publishtest.InProcess(c.store))
	failing, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{
		Durable: "failing", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 1, AckWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := failing.Next(); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "it has given up an event", func() bool {
		_, _ = failing.Fetch(1, jetstream.FetchMaxWait(100*time.Millisecond)) // the server notices when it is asked
		_, text := c.do("GET", "/api/consumers", "")
		var list struct{ Consumers []consumerRow }
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Consumers) != 1 {
			return false // a slow machine has not read them in time
		}
		row := list.Consumers[0]
		return row.Name == "failing" && row.GivenUp > 0 && fmt.Sprint(row.Filters) == "[>]"
	})
	if status, text := c.act("/api/consumers", "{}"); status != 405 {
		t.Errorf("a view is changed: %d %s", status, text)
	}
}
