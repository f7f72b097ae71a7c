package logging

import (
	"io"
	"log/slog"
	"os"
)

// Options are the settings of a logger.
type Options struct {
	Level  string // debug, info, warn or error
	Format string // text or json; empty: text on a terminal, else json
}

// New returns a logger that writes each line to w at once.
func New(w io.Writer, o Options) *slog.Logger { return slog.New(o.handler(w, o.isText(w))) }

// Start returns a logger that never waits for w, for a gateway under load. stop writes
// the last lines.
func Start(w io.Writer, o Options) (log *slog.Logger, stop func()) {
	lines := newWriter(w)
	log = slog.New(o.handler(lines, o.isText(w)))
	go lines.run(func(dropped int) {
		// An error, so that every level shows it: the lost lines were worth writing.
		log.Error("log lines dropped: the reader of the log is too slow", "lines", dropped)
	})
	return log, lines.close
}

// handler leaves values as they are. Callers log a duration as a text: JSON would have
// nanoseconds, and a ReplaceAttr for it doubles the cost of each line.
func (o Options) handler(w io.Writer, text bool) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.Level)) // was checked when the settings were loaded
	options := &slog.HandlerOptions{Level: level}
	if text {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

func (o Options) isText(w io.Writer) bool {
	return o.Format == "text" || o.Format == "" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	if wrapper, ok := w.(interface{ Unwrap() io.Writer }); ok {
		w = wrapper.Unwrap()
	}
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
