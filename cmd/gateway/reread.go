package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// rereadInterval is how often the files of secrets and certificates are looked at. A
// change takes effect after one to two of them.
const rereadInterval = time.Second

const (
	// lookTimeout is how long a look may take before somebody should know.
	lookTimeout = 10 * time.Second
	// lookEndTime bounds how long the end of the gateway waits for one.
	lookEndTime = 100 * time.Millisecond
)

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
			stalled := time.AfterFunc(lookTimeout, r.stalled)
			r.look()
			stalled.Stop()
		}
	}
}

// stalled is called when a look does not end, as on a file system that is away.
func (r *rereader) stalled() {
	r.good.Set(0)
	r.log.Error("the files of secrets and certificates cannot be looked at, what was read before stays in force: their file system does not answer",
		"after", lookTimeout.String())
}

// look looks at all files once.
func (r *rereader) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
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

// readRegular does not wait for somebody to write into a pipe, also one that takes the
// place of the file in this moment. The error is the rest of a sentence about the file.
func readRegular(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.New("cannot be read: " + cause(err))
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("is no file any more: expected one, or a restart")
	}
	return readBounded(file)
}

// maxSecretFile is the most that a file of secrets or certificates may hold, in bytes.
const maxSecretFile = 1 << 20

// readBounded keeps a file that was mistaken for one of secrets from taking all memory.
func readBounded(file io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	switch {
	case err != nil:
		return nil, errors.New("cannot be read: " + cause(err))
	case len(content) > maxSecretFile:
		return nil, fmt.Errorf("is too large: expected at most %d bytes", maxSecretFile)
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
