package reload

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

// DefaultInterval is how often the files are read. A change takes effect after one to
// two intervals.
const DefaultInterval = time.Second

const (
	// stallTimeout is how long reading may take before it is logged.
	stallTimeout = 10 * time.Second
	// stopTimeout bounds how long Stop waits for a read in progress.
	stopTimeout = 100 * time.Millisecond
)

// Files polls files. It compares their contents: Kubernetes replaces a link, editors
// replace the file, and the modification time can stay the same. An error is logged
// once, and what was loaded before stays in use. It is safe for concurrent use.
type Files struct {
	log     *slog.Logger
	success prometheus.Gauge
	cancel  context.CancelFunc
	done    chan struct{}

	mu     sync.Mutex // one poll at a time
	groups []*Group
}

// Group is files that are loaded together, such as a certificate and its key.
type Group struct {
	Settings string // the variables that name the files, for the log
	Paths    []string
	// Load uses the contents and returns attributes for the log, none if they are in use
	// already. With an error, which must not show the contents, it changes nothing. There
	// is only one call at a time.
	Load func(contents [][]byte) (attributes []any, err error)

	last   fingerprint // of the last poll
	loaded fingerprint // of the last Load, successful or not
	failed string      // the error of that Load; empty without one
}

// fingerprint identifies the contents of files, or an error.
type fingerprint [sha256.Size]byte

// NewFiles returns files that are not polled yet.
func NewFiles(log *slog.Logger, reg prometheus.Registerer) *Files {
	f := &Files{log: log, done: make(chan struct{}), success: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gateway_secrets_last_reload_successful",
		Help: "1 if the files of secrets and certificates could be used when they changed last, else 0.",
	})}
	f.success.Set(1)
	reg.MustRegister(f.success)
	return f
}

// Watch adds files that somebody else has loaded, so Load may be called with contents
// that are in use.
func (f *Files) Watch(g *Group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups = append(f.groups, g)
}

// Load loads files now, and watches them.
func (f *Files) Load(g *Group) error {
	contents, err := g.read()
	if err == nil {
		_, err = g.Load(contents)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", g.Settings, err)
	}
	g.last = newFingerprint(contents, nil)
	g.loaded = g.last
	f.Watch(g)
	return nil
}

// Start polls the files until Stop, every [DefaultInterval] if interval is 0.
func (f *Files) Start(interval time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go func() {
		defer close(f.done)
		tick := time.NewTicker(cmp.Or(interval, DefaultInterval))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				stalled := time.AfterFunc(stallTimeout, f.reportStall)
				f.poll()
				stalled.Stop()
			}
		}
	}()
}

// Stop ends the polling. It does not wait for a file system that does not respond.
func (f *Files) Stop(context.Context) error {
	f.cancel()
	select {
	case <-f.done:
	case <-time.After(stopTimeout):
	}
	return nil
}

func (f *Files) reportStall() {
	f.success.Set(0)
	f.log.Error("file system does not respond, cannot check files of secrets and certificates for changes",
		"after", stallTimeout.String())
}

// poll checks all files once.
func (f *Files) poll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	success := 1.0
	for _, g := range f.groups {
		g.poll(f.log)
		if g.failed != "" {
			success = 0
		}
	}
	f.success.Set(success)
}

// poll loads a change when two polls in a row have found the same contents: at the
// first one somebody may still be writing.
func (g *Group) poll(log *slog.Logger) {
	contents, err := g.read()
	now := newFingerprint(contents, err)
	stable := now == g.last
	g.last = now
	if !stable || now == g.loaded {
		return
	}
	g.loaded = now
	var attributes []any
	if err == nil {
		attributes, err = g.Load(contents)
	}
	g.report(log, attributes, err)
}

func (g *Group) report(log *slog.Logger, attributes []any, err error) {
	before := g.failed
	g.failed = ""
	if err != nil {
		g.failed = err.Error()
	}
	log = log.With("settings", g.Settings)
	switch {
	case err != nil && g.failed != before:
		log.Error("changed file cannot be used, keeping what was loaded before", "error", err)
	case err == nil && (len(attributes) > 0 || before != ""):
		log.With(attributes...).Info("changed file reloaded")
	}
}

func (g *Group) read() ([][]byte, error) {
	contents := make([][]byte, len(g.Paths))
	for i, path := range g.Paths {
		var err error
		if contents[i], err = settings.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return contents, nil
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
