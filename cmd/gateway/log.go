package main

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// newLogger writes to w as the settings say; where they do not, as text on a
// terminal and as JSON elsewhere.
func newLogger(s *settings, w io.Writer) *slog.Logger {
	return slog.New(newHandler(s, w, wantsText(s, w)))
}

// newHandler leaves values as they are. Who logs a duration gives its text: JSON would
// have bare nanoseconds, and a ReplaceAttr that mends it costs each line as much again.
func newHandler(s *settings, w io.Writer, text bool) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // checked when the settings were loaded
	options := &slog.HandlerOptions{Level: level}
	if text {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

func wantsText(s *settings, w io.Writer) bool {
	return s.LogFormat == "text" || s.LogFormat == "" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	if t, ok := w.(terminal); ok {
		w = t.to
	}
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// startLog is newLogger for a gateway under load: nobody waits for w. end has the last
// lines written.
func startLog(s *settings, w io.Writer) (log *slog.Logger, end func()) {
	later := newLogWriter(w)
	log = slog.New(newHandler(s, later, wantsText(s, w)))
	go later.run(func(lines int) {
		// An error, so that it is written at every level: lines that were worth writing
		// are lost.
		log.Error("log lines were dropped: who reads the log does not keep up", "lines", lines)
	})
	return log, later.close
}

const (
	// logRoom is how much waits to be written, in bytes: some thousand lines.
	logRoom = 1 << 20
	// logEndTime bounds how long the end waits for the last lines to be written.
	logEndTime = time.Second
)

// logWriter writes lines in a goroutine of its own, in their order, as many at once as
// have come meanwhile. A reader that stands still must not hold up deliveries, which
// all write a line: beyond logRoom lines are dropped and counted. It is safe for
// concurrent use.
type logWriter struct {
	to   io.Writer
	some chan struct{} // has something in it when there is something to do
	done chan struct{} // closed when everything is written

	mu      sync.Mutex
	lines   []byte // that wait
	dropped int
	closing bool
}

func newLogWriter(to io.Writer) *logWriter {
	return &logWriter{to: to, some: make(chan struct{}, 1), done: make(chan struct{})}
}

// Write takes one line. It never fails, and does not wait.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	if len(w.lines)+len(line) <= logRoom {
		w.lines = append(w.lines, line...)
	} else {
		w.dropped++
	}
	w.mu.Unlock()
	w.wake()
	return len(line), nil
}

func (w *logWriter) wake() {
	select {
	case w.some <- struct{}{}:
	default:
	}
}

// run writes until close. tell is called with the number of lines that were dropped,
// when there is room again. What it writes is written next.
func (w *logWriter) run(tell func(lines int)) {
	defer close(w.done)
	var written []byte
	for range w.some {
		lines, dropped, closing := w.take(written[:0])
		_, _ = w.to.Write(lines) // where the log cannot be written there is nobody to tell
		written = lines
		switch {
		case dropped > 0:
			tell(dropped)
			w.wake() // also where it wrote nothing: the end may be waiting
		case closing:
			return
		}
	}
}

// take returns what there is, and leaves an empty buffer.
func (w *logWriter) take(empty []byte) (lines []byte, dropped int, closing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, dropped, closing = w.lines, w.dropped, w.closing
	w.lines, w.dropped = empty, 0
	return lines, dropped, closing
}

// close returns when all lines are written, or when nobody takes them.
func (w *logWriter) close() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.wake()
	select {
	case <-w.done:
	case <-time.After(logEndTime):
	}
}
