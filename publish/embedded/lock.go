package embedded

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Lock makes dir, with mode 0700, the data directory of this process alone and
// returns how to give it back. The server has no lock of its own: two on one
// directory acknowledge both, and lose events. The error is at once and names dir.
//
// The lock ends with the process, however that ends.
func Lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("GATEWAY_DATA_DIR: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("GATEWAY_DATA_DIR: lock %s: %w", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("the data directory %s belongs to another process that runs: stop it, or set GATEWAY_DATA_DIR to another directory", dir)
	}
	return lock.Unlock, nil
}
