package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress draws a bar on a terminal. Elsewhere it prints nothing.
type progress struct {
	to    io.Writer // nil if it is not a terminal
	start time.Time
	shown time.Time
}

// newProgress takes what the command writes its errors to.
func newProgress(w io.Writer) *progress {
	p := &progress{start: time.Now()}
	if file, ok := fileOf(w); ok && isTerminal(file) {
		p.to = file
	}
	return p
}

// fileOf returns the file behind a command's writer.
func fileOf(w io.Writer) (*os.File, bool) {
	if t, ok := w.(terminal); ok {
		w = t.to
	}
	file, ok := w.(*os.File)
	return file, ok
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const (
	barWidth         = 30
	progressInterval = 100 * time.Millisecond
	clearLine        = "\r\x1b[K"
)

// update is an [analytics.Progress].
func (p *progress) update(done, total uint64) {
	if p.to == nil || total == 0 || time.Since(p.shown) < progressInterval {
		return
	}
	p.shown = time.Now()
	full := int(barWidth * done / total)
	left := time.Duration(float64(time.Since(p.start)) / float64(max(done, 1)) * float64(total-done)).Round(time.Second)
	fmt.Fprintf(p.to, clearLine+"[%s%s] %3d%%  %d of %d  %s left", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*done/total, done, total, left)
}

// done removes the bar.
func (p *progress) done() {
	if p.to != nil && !p.shown.IsZero() {
		fmt.Fprint(p.to, clearLine)
	}
}
