package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSync(t *testing.T) {
	s, err := OpenSync(t.TempDir())
	if err != nil {
		t.Skip("the directory for temporary files is on no disk:", err)
	}
	defer s.Close()
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
}

// Memory keeps nothing: a 200 must not rest on a sync there.
func TestSyncRefusesTmpfs(t *testing.T) {
	const dir = "/dev/shm"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no tmpfs here:", err)
	}
	if _, err := OpenSync(dir); err == nil || !strings.Contains(err.Error(), "is in memory: nothing there survives") {
		t.Errorf("got %v", err)
	}
}

// The store can be on another filesystem than the directory that it is in. Where it is
// TestStoreOutlivesTheServer tells.
func TestSyncLooksAtTheStore(t *testing.T) {
	needsMounts(t)
	for _, mount := range []string{"nats", "nats/jetstream"} {
		dir := t.TempDir()
		store := filepath.Join(dir, mount)
		if err := os.MkdirAll(store, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("none", store, "tmpfs", 0, ""); err != nil {
			t.Skip("cannot mount:", err)
		}
		defer unix.Unmount(store, 0)
		if _, err := OpenSync(dir); err == nil || !strings.HasPrefix(err.Error(), store+" is in memory") {
			t.Errorf("%s: got %v", mount, err)
		}
	}
}
