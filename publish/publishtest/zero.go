package publishtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// ZeroConsumer leaves what a power cut on ext4 can leave of a durable consumer: the
// server does not know it, and its state file has the right size and only zeros.
func ZeroConsumer(t *testing.T, js jetstream.JetStream, dir, stream, name string) {
	t.Helper()
	consumers, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "streams", stream, "obs"))
	if err != nil || len(consumers) != 1 {
		t.Fatalf("directory of the consumers of %s: %v, %v", stream, consumers, err)
	}
	if err := js.DeleteConsumer(t.Context(), stream, name); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(consumers[0], name)
	if err := os.MkdirAll(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "o.dat"), make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
}
