package publish

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestReaderOfSharedConsumer: what is sent again may have been taken by another
// gateway, which is gone. Where nobody else should have taken anything, something is
// missing, and the reader does not go on behind it.
func TestReaderOfSharedConsumer(t *testing.T) {
	for _, alone := range []bool{false, true} {
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
		r, err := newReader(c, alone)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.stop)
		mustPublish(t, p, clicks("new", 1)...)
		taken := map[uint64]bool{}
		ctx := withDeadline(t, 2*time.Second)
		for len(taken) < 4 {
			messages, err := r.take(ctx)
			if err != nil {
				if !alone || !strings.Contains(err.Error(), "message 4 was delivered and message 1 was expected") {
					t.Errorf("alone %v: %v", alone, err)
				}
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
		if all := len(taken) == 4; all == alone {
			t.Errorf("alone %v: took %v", alone, taken)
		}
	}
}
