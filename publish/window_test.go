package publish

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestReaderOfSharedConsumer: what is sent again may have been taken by another
// gateway, which is gone; where nobody else takes, it is here already.
func TestReaderOfSharedConsumer(t *testing.T) {
	for _, inOrder := range []bool{false, true} {
		cfg := embeddedConfig(t)
		p := mustOpen(t, cfg)
		js := natstest.JetStream(t, "", inProcess(cfg))
		mustPublish(t, p, clicks("old", 3)...)
		c, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "shared", AckWait: 200 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.FetchNoWait(3); err != nil { // another one, which takes them and dies
			t.Fatal(err)
		}
		r, err := newReader(c, inOrder)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.stop)
		mustPublish(t, p, clicks("new", 1)...)
		taken := map[uint64]bool{}
		ctx := withDeadline(t, 2*time.Second)
		for len(taken) < 4 {
			messages, _, err := r.take(ctx)
			if err != nil {
				break
			}
			for _, m := range messages {
				meta, err := m.Metadata()
				if err != nil {
					t.Fatal(err)
				}
				taken[meta.Sequence.Stream] = true
			}
		}
		if all := len(taken) == 4; all == inOrder {
			t.Errorf("in order %v: took %v", inOrder, taken)
		}
	}
}
