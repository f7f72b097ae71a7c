package natstest

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// Eventually asks until ok is true, for at most 40 seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(40*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 40s: %s", what)
		case <-tick.C:
		}
	}
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
