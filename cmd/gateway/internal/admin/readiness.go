package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// readyTimeout bounds all checks together: it is shorter than the timeout of usual
// probes. checkTimeout is shorter, so that a check can return its own error.
const (
	readyTimeout = 900 * time.Millisecond
	checkTimeout = 800 * time.Millisecond
)

// A prober that has asked within probeTime routes deliveries by the answers. A stop
// gives it noticeTime to see that the gateway is not ready.
const (
	probeTime  = 30 * time.Second
	noticeTime = time.Second
)

// Readiness checks whether an event can be stored now. The zero Readiness has no checks
// and is ready. It is safe for concurrent use.
type Readiness struct {
	mu       sync.Mutex
	checks   []check
	notes    []note
	draining bool
	probed   time.Time // the last request of /readyz
}

type check struct {
	name string
	run  func(context.Context) error
}

type note struct {
	name string
	text func(context.Context) string
}

// AddCheck makes readiness depend on a check.
func (r *Readiness) AddCheck(name string, run func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, check{name, run})
}

// AddNote adds a line to /readyz, which does not affect readiness.
func (r *Readiness) AddNote(name string, text func(context.Context) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, note{name, text})
}

// Drain makes the gateway not ready from now on. It returns how long to go on accepting
// deliveries: until probers can have noticed.
func (r *Readiness) Drain() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	if time.Since(r.probed) > probeTime {
		return 0
	}
	return noticeTime
}

// Check returns why no event can be stored now, or nil. Unlike a request of /readyz it
// does not count as a prober's.
func (r *Readiness) Check(ctx context.Context) error { return r.check(ctx) }

// healthTime is for how long an answer of the public listener's health path is reused:
// anybody can ask, and each check asks the store.
const healthTime = time.Second

// Health answers GET and HEAD with 200 while deliveries are accepted, else with 503. It
// says nothing else: anybody can ask.
func (r *Readiness) Health() http.Handler {
	var mu sync.Mutex
	var checked time.Time
	var err error
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodGet && request.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "expected GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if r.isDraining() || time.Since(checked) > healthTime {
			err, checked = r.probe(context.WithoutCancel(request.Context())), time.Now()
		}
		if err != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}

func (r *Readiness) isDraining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// probe is check for a prober.
func (r *Readiness) probe(ctx context.Context) error {
	r.mu.Lock()
	r.probed = time.Now()
	r.mu.Unlock()
	return r.check(ctx)
}

// check runs the checks. The error says what is not ready, and why.
func (r *Readiness) check(ctx context.Context) error {
	r.mu.Lock()
	checks, draining := r.checks, r.draining
	r.mu.Unlock()
	if draining {
		return errors.New("shutting down")
	}
	deadline, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ctx, cancelChecks := context.WithTimeout(deadline, checkTimeout)
	defer cancelChecks()
	var errs []error
	for _, c := range checks {
		if err := c.runWithin(deadline, ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return errors.Join(errs...)
}

// runWithin returns at the deadline even if the check blocks on something that ignores
// ctx; the check then ends by itself a little later.
func (c check) runWithin(deadline, ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- c.run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-deadline.Done():
		return fmt.Errorf("no answer in time: %w", deadline.Err())
	}
}

// noteLines returns a line for each note.
func (r *Readiness) noteLines(ctx context.Context) string {
	r.mu.Lock()
	notes := r.notes
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var b strings.Builder
	for _, n := range notes {
		fmt.Fprintf(&b, "%s: %s\n", n.name, n.text(ctx))
	}
	return b.String()
}
