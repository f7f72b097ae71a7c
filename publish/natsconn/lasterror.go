package natsconn

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// LastError keeps why something in the background fails. It logs an error once until
// there is another one. It is safe for concurrent use.
type LastError struct {
	log              *slog.Logger
	failed, restored string
	last             atomic.Pointer[error]
}

// NewLastError returns one that logs failed with each new error and restored when it
// is cleared. An empty restored is not logged.
func NewLastError(log *slog.Logger, failed, restored string) *LastError {
	return &LastError{log: log, failed: failed, restored: restored}
}

// Set keeps err and logs it if its text is new.
func (l *LastError) Set(err error) {
	if last := l.last.Swap(&err); last == nil || (*last).Error() != err.Error() {
		l.log.Warn(l.failed, slog.Any("error", err))
	}
}

// Clear forgets the error.
func (l *LastError) Clear() {
	if l.last.Load() != nil && l.last.Swap(nil) != nil && l.restored != "" {
		l.log.Info(l.restored)
	}
}

// Err returns the error, or nil.
func (l *LastError) Err() error {
	if err := l.last.Load(); err != nil {
		return *err
	}
	return nil
}

// Report returns the error for the end of another one; empty if there is none.
func (l *LastError) Report() string {
	if err := l.Err(); err != nil {
		return "; NATS reports: " + err.Error()
	}
	return ""
}

// Sleep waits for d, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Wait waits for wg, no longer than ctx lasts.
func Wait(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the connection to NATS: %w", ctx.Err())
	}
}
