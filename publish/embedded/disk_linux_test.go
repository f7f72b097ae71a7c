package embedded

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// smallDisk mounts a filesystem of its own. It needs what a user does not have:
// where that is missing the test says so and is not run.
func smallDisk(t *testing.T, megabytes int64) string {
	t.Helper()
	needsMounts(t)
	if os.Getuid() != 0 {
		t.Skip("NOT CHECKED: needs root, for a filesystem that can be filled up")
	}
	dir := t.TempDir()
	image, mnt := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, megabytes<<20), os.Mkdir(mnt, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, mnt}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("NOT CHECKED: no filesystem to fill up can be made here: %v: %v %s", command, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return mnt
}

// TestStoreThatFailed: after a failed write the server acknowledges nothing more
// and calls itself healthy, also when there is space again.
func TestStoreThatFailed(t *testing.T) {
	mnt := smallDisk(t, 64)
	log := &natstest.Log{}
	s, err := Start(Config{Dir: filepath.Join(mnt, "data"), DontListen: true}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	js := natstest.JetStream(t, "", nats.InProcessServer(s), nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(-1))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Duplicates: time.Hour}); err != nil {
		t.Fatal(err)
	}
	fill := filepath.Join(mnt, "fill")
	stored := fillUp(t, js, fill)
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "a server that stores", func() bool {
		_, err := js.Publish(t.Context(), "s", make([]byte, 1000), jetstream.WithMsgID("after"))
		return err == nil
	})
	stream, err := js.Stream(t.Context(), "S")
	if err != nil || stream.CachedInfo().State.Msgs < stored+1 || s.Failed() != nil {
		t.Errorf("%d were acknowledged, then one more; in the stream: %+v, %v; failed: %v", stored, stream.CachedInfo().State, err, s.Failed())
	}
	if !strings.Contains(log.String(), "the store of the embedded NATS server has failed: it is started again") {
		t.Errorf("log: %s", log)
	}
}

// fillUp publishes while the disk fills up, until nothing is acknowledged any
// more, and returns how much was.
func fillUp(t *testing.T, js jetstream.JetStream, fill string) (stored uint64) {
	t.Helper()
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for full := false; ; {
		if !full {
			_, err := f.Write(make([]byte, 1<<20))
			full = err != nil
		}
		if _, err := js.Publish(t.Context(), "s", make([]byte, 1000)); err != nil {
			return stored
		}
		stored++
	}
}
