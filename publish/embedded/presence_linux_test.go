package embedded

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestStoreThatCannotBeLookedAt: without file descriptors nothing is known, and nothing
// is wrong with the store.
func TestStoreThatCannotBeLookedAt(t *testing.T) {
	s, _, _ := startWithStream(t)
	shell(t, s.cfg.Dir, "touch nats/jetstream/'$G'/streams/S/msgs/x") // so that the next check looks
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Skip("cannot change the limit:", err)
	}
	err := s.CheckStore()
	if restoreErr := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); restoreErr != nil {
		t.Fatal(restoreErr)
	}
	if err != nil {
		t.Error(err)
	}
	if err := s.CheckStore(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
