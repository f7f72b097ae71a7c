//go:build !linux

package embedded

import (
	"errors"
	"runtime"
)

// Sync is for Linux: elsewhere there is no syncfs.
type Sync struct{}

// OpenSync always fails here.
func OpenSync(string) (*Sync, error) {
	return nil, errors.New("there is no syncfs on " + runtime.GOOS)
}

// Sync is never reached.
func (*Sync) Sync() error { return errors.ErrUnsupported }

// Close does nothing.
func (*Sync) Close() error { return nil }
