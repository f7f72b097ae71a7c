package publishtest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// ZeroConsumer leaves what a power cut on ext4 can leave of a durable consumer: the
// server does not know it, and its state file has the right size and only zeros. Whoever
// reads by the consumer creates it again, at times before the file is there: then it is
// deleted once more. A consumer in memory was created after that.
func ZeroConsumer(t *testing.T, js jetstream.JetStream, dir, stream, name string) {
	t.Helper()
	consumers, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "streams", stream, "obs"))
	if err != nil || len(consumers) != 1 {
		t.Fatalf("directory of the consumers of %s: %v, %v", stream, consumers, err)
	}
	broken := filepath.Join(consumers[0], name)
	natstest.Eventually(t, "the server has no such consumer, or another one", func() bool {
		if err := js.DeleteConsumer(t.Context(), stream, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			t.Fatal(err)
		}
		err := os.MkdirAll(broken, 0o700)
		if err = errors.Join(err, os.WriteFile(filepath.Join(broken, "o.dat"), make([]byte, 64), 0o600)); err != nil {
			t.Logf("the consumer's files: %v", err) // the server makes and removes them, too
			return false
		}
		c, err := js.Consumer(t.Context(), stream, name)
		return errors.Is(err, jetstream.ErrConsumerNotFound) || err == nil && c.CachedInfo().Config.MemoryStorage
	})
}
