package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// wrapper stands for what the commands write to.
type wrapper struct{ io.Writer }

func (w wrapper) Unwrap() io.Writer { return w.Writer }

// TestLogFormat: text on a terminal, JSON elsewhere, and what is set everywhere.
func TestLogFormat(t *testing.T) {
	tty, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		to     io.Writer
		format string
		want   string
	}{
		{tty, "", "*slog.TextHandler"},
		{wrapper{tty}, "", "*slog.TextHandler"},
		{wrapper{file}, "", "*slog.JSONHandler"},
		{file, "", "*slog.JSONHandler"},
		{&bytes.Buffer{}, "", "*slog.JSONHandler"},
		{tty, "json", "*slog.JSONHandler"},
		{file, "text", "*slog.TextHandler"},
	} {
		if got := fmt.Sprintf("%T", New(test.to, Options{Format: test.format}).Handler()); got != test.want {
			t.Errorf("%T, format %q: got %s, want %s", test.to, test.format, got, test.want)
		}
	}
}

func TestLogLevel(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, Options{Level: "warn"})
	log.Info("below")
	log.Warn("above")
	if text := out.String(); strings.Contains(text, "below") || !strings.Contains(text, `"msg":"above"`) {
		t.Errorf("got %s", text)
	}
}

// TestStalledLogReader: lines that nobody reads hold up nobody, are dropped beyond a
// bound, and counted when somebody reads again, at every level. The end waits for no
// more than that.
func TestStalledLogReader(t *testing.T) {
	for _, level := range []string{"debug", "error"} {
		t.Run(level, func(t *testing.T) {
			const lines, text = 3000, 1000
			reader, writer := io.Pipe() // without a reader a write does not end
			log, stop := Start(writer, Options{Level: level})
			for range lines {
				log.Error(strings.Repeat("x", text))
			}
			took := make(chan time.Duration, 1)
			go func() {
				begin := time.Now()
				stop()
				took <- time.Since(begin)
				writer.Close()
			}()
			all, err := io.ReadAll(reader)
			if err != nil {
				t.Fatal(err)
			}
			var dropped int
			for _, line := range linesOf(string(all), "log lines dropped: the reader of the log is too slow") {
				dropped += int(line["lines"].(float64))
			}
			kept := len(linesOf(string(all), strings.Repeat("x", text)))
			if kept+dropped != lines || kept < maxBuffered/(2*text) || kept > 2*maxBuffered/text {
				t.Errorf("%d lines were written and %d dropped, of %d", kept, dropped, lines)
			}
			if d := <-took; d >= closeTimeout {
				t.Errorf("the end took %s although all was read", d)
			}
		})
	}
}

// TestStopDoesNotWaitForAReader: the end does not wait for a reader for long.
func TestStopDoesNotWaitForAReader(t *testing.T) {
	_, writer := io.Pipe()
	log, stop := Start(writer, Options{})
	log.Info("to nobody")
	start := time.Now()
	stop()
	if took := time.Since(start); took < closeTimeout || took > 10*closeTimeout {
		t.Errorf("took %s", took)
	}
}

// linesOf returns the lines with a message.
func linesOf(log, message string) (lines []map[string]any) {
	for text := range strings.Lines(log) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == message {
			lines = append(lines, line)
		}
	}
	return lines
}
