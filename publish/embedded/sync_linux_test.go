package embedded

import (
	"os"
	"strings"
	"testing"
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
