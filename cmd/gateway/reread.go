package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// rereadInterval is how often the files of secrets and certificates are looked at. A
// change takes effect after one to two of them.
const rereadInterval = time.Second

// rereader notices what changes in files while the gateway runs. It compares what they
// hold: Kubernetes exchanges a link, editors the file, and the time of change can stay
// the same. What cannot be used is told once, and what was read before stays in force.
// It is safe for concurrent use.
type rereader struct {
	log  *slog.Logger
	good prometheus.Gauge

	mu    sync.Mutex // one look at a time
	files []*watchedFiles
}

// watchedFiles are read together, such as a certificate and its key.
type watchedFiles struct {
	settings string // that name the files, for the log
	paths    []string
	// use puts in force what the files hold and returns what the log tells about it, as
	// slog takes it; nothing where it is in force already. With an error, which shows
	// nothing of what they hold, all stays as it was. It is never called twice at a time.
	use func(contents [][]byte) ([]any, error)

	seen   fingerprint // at the last look
	judged fingerprint // when it was last used, or refused
	wrong  string      // with what was judged; empty where nothing is
}

// fingerprint stands for what files hold, which is not kept a second time.
type fingerprint [sha256.Size]byte

func newRereader(log *slog.Logger, reg prometheus.Registerer) *rereader {
	r := &rereader{log: log, good: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gateway_secrets_last_reload_successful",
		Help: "1 if the files of secrets and certificates could be used when they changed last, else 0.",
	})}
	r.good.Set(1)
	reg.MustRegister(r.good)
	return r
}

// watch looks at files from now on. They have been read before by somebody else, so
// use may be called with what is in force.
func (r *rereader) watch(f *watchedFiles) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files = append(r.files, f)
}

// load uses files now and watches them.
func (r *rereader) load(f *watchedFiles) error {
	contents, err := f.read()
	if err == nil {
		_, err = f.use(contents)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.settings, err)
	}
	f.seen = newFingerprint(contents, nil)
	f.judged = f.seen
	r.watch(f)
	return nil
}

// run looks at the files until ctx ends.
func (r *rereader) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.mu.Lock()
			r.look()
			r.mu.Unlock()
		}
	}
}

// hurry looks once more between two looks of run, for somebody who has been refused
// with what is in force. It does not wait for a look that is under way.
func (r *rereader) hurry() {
	if r.mu.TryLock() {
		defer r.mu.Unlock()
		r.look()
	}
}

func (r *rereader) look() {
	good := 1.0
	for _, f := range r.files {
		f.look(r.log)
		if f.wrong != "" {
			good = 0
		}
	}
	r.good.Set(good)
}

// look acts on a change when two looks in a row have found the same: at the first
// one somebody may still be writing.
func (f *watchedFiles) look(log *slog.Logger) {
	contents, err := f.read()
	now := newFingerprint(contents, err)
	settled := now == f.seen
	f.seen = now
	if !settled || now == f.judged {
		return
	}
	f.judged = now
	var news []any
	if err == nil {
		news, err = f.use(contents)
	}
	f.tell(log, news, err)
}

func (f *watchedFiles) tell(log *slog.Logger, news []any, err error) {
	before := f.wrong
	f.wrong = ""
	if err != nil {
		f.wrong = err.Error()
	}
	log = log.With("settings", f.settings)
	switch {
	case err != nil && f.wrong != before:
		log.Error("a changed file cannot be used, what was read before stays in force", "error", err)
	case err == nil && (len(news) > 0 || before != ""):
		log.With(news...).Info("a changed file was read again and is in force")
	}
}

func (f *watchedFiles) read() ([][]byte, error) {
	contents := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		var err error
		if contents[i], err = readRegular(path); err != nil {
			return nil, fmt.Errorf("%q %w", path, err)
		}
	}
	return contents, nil
}

// readRegular does not wait for somebody to write into a pipe. The error is the rest
// of a sentence about the file.
func readRegular(path string) ([]byte, error) {
	if isPipe(path) {
		return nil, errors.New("is no file any more: expected one, or a restart")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.New("cannot be read: " + cause(err))
	}
	return content, nil
}

// isPipe tells whether path is something that can be read only once, such as what
// a shell makes of <(command).
func isPipe(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket|os.ModeDevice) != 0
}

func newFingerprint(contents [][]byte, err error) fingerprint {
	if err != nil {
		return sha256.Sum256([]byte(err.Error()))
	}
	hash := sha256.New()
	for _, content := range contents {
		fmt.Fprintf(hash, "%d:%s", len(content), content)
	}
	return fingerprint(hash.Sum(nil))
}
