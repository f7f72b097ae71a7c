package natstest

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Patience is how long tests wait for what has to come: a busy machine needs a multiple of
// what is usual.
const Patience = 40 * time.Second

// Eventually asks until ok is true, for at most Patience.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(Patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", Patience, what)
		case <-tick.C:
		}
	}
}

// Lateness measures until the test ends for how long at most this process got no time: by
// so much more it exceeds every limit.
func Lateness(t testing.TB) func() time.Duration {
	const pause = 10 * time.Millisecond
	var longest atomic.Int64
	tick, stop := time.NewTicker(pause), make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		defer tick.Stop()
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-stop:
				return
			case <-tick.C:
				longest.Store(max(longest.Load(), int64(time.Since(last)-pause)))
			}
		}
	}()
	return func() time.Duration { return time.Duration(longest.Load()) }
}

// Log keeps what is logged. It can be read meanwhile.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is everything so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
