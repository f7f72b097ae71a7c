package logging

import (
	"io"
	"sync"
	"time"
)

const (
	// maxBuffered is how many bytes wait to be written: some thousand lines.
	maxBuffered = 1 << 20
	// writePause is from one write to the next. Under load a write has many lines: system
	// calls would take a fiftieth of the processor time.
	writePause = 5 * time.Millisecond
	// closeTimeout bounds how long close waits for the last lines to be written.
	closeTimeout = time.Second
)

// writer writes lines in a goroutine, in their order, all that wait at once. A reader of
// the log that stalls must not delay deliveries, which all write a line: lines beyond
// maxBuffered are dropped and counted. It is safe for concurrent use.
type writer struct {
	to   io.Writer
	wake chan struct{} // holds a value if there is something to do
	done chan struct{} // closed when everything is written

	mu      sync.Mutex
	lines   []byte // waiting
	dropped int
	closing bool
}

func newWriter(to io.Writer) *writer {
	return &writer{to: to, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Write takes one line. It never fails and never blocks.
func (w *writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	if len(w.lines)+len(line) <= maxBuffered {
		w.lines = append(w.lines, line...)
	} else {
		w.dropped++
	}
	w.mu.Unlock()
	w.signal()
	return len(line), nil
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until close. It calls reportDropped, which writes a line itself, when there
// is room again.
func (w *writer) run(reportDropped func(lines int)) {
	defer close(w.done)
	var written []byte
	for range w.wake {
		lines, dropped, closing := w.take(written[:0])
		_, _ = w.to.Write(lines) // an error of the log cannot be logged
		written = lines
		switch {
		case dropped > 0:
			reportDropped(dropped)
			w.signal() // even if it wrote nothing: close may be waiting
		case closing:
			return
		}
		time.Sleep(writePause)
	}
}

// take returns the waiting lines, and leaves an empty buffer.
func (w *writer) take(empty []byte) (lines []byte, dropped int, closing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, dropped, closing = w.lines, w.dropped, w.closing
	w.lines, w.dropped = empty, 0
	return lines, dropped, closing
}

// close returns when all lines are written, or after closeTimeout.
func (w *writer) close() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.signal()
	select {
	case <-w.done:
	case <-time.After(closeTimeout):
	}
}
