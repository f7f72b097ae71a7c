package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newRegistry returns the metrics that are there in every mode.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gateway_build_info", Help: "Always 1; the labels tell what is running.",
		ConstLabels: prometheus.Labels{"version": buildVersion(), "goversion": runtime.Version()},
	})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// readyTimeout bounds a readiness check: shorter than what probes usually wait. A
// check has a little less, so that it can say itself what did not answer.
const (
	readyTimeout = 900 * time.Millisecond
	checkTimeout = 800 * time.Millisecond
)

// readiness tells whether an event can really be stored now. It is safe for
// concurrent use.
type readiness struct {
	mu       sync.Mutex
	checks   []check
	remarks  []remark
	draining bool
	asked    time.Time // when somebody asked last
}

// remark is something that an operator should see although it is no reason not
// to be ready.
type remark struct {
	name string
	text func(context.Context) string
}

type check struct {
	name string
	do   func(context.Context) error
}

func (r *readiness) add(name string, do func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, check{name, do})
}

func (r *readiness) tell(name string, text func(context.Context) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remarks = append(r.remarks, remark{name, text})
}

// drain makes every further answer "not ready".
func (r *readiness) drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
}

// Whoever has asked within watchTime decides by the answers where deliveries go, and
// gets noticeTime to see that it has to be elsewhere.
const (
	watchTime  = 30 * time.Second
	noticeTime = time.Second
)

// notice returns how long a gateway that is not ready any more has to go on.
func (r *readiness) notice() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) > watchTime {
		return 0
	}
	return noticeTime
}

// answer is ask for somebody who decides by it where deliveries go.
func (r *readiness) answer(ctx context.Context) error {
	r.mu.Lock()
	r.asked = time.Now()
	r.mu.Unlock()
	return r.ask(ctx)
}

// ask runs the checks now. The error says what is not ready, and why.
func (r *readiness) ask(ctx context.Context) error {
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
		if err := within(deadline, ctx, c.do); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return errors.Join(errs...)
}

// told returns the remarks, a line each.
func (r *readiness) told(ctx context.Context) string {
	r.mu.Lock()
	remarks := r.remarks
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var b strings.Builder
	for _, one := range remarks {
		fmt.Fprintf(&b, "%s: %s\n", one.name, one.text(ctx))
	}
	return b.String()
}

// within gives a check no more time than deadline has, even where it blocks on
// something that knows no context; it ends by itself a little later then.
func within(deadline, ctx context.Context, do func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-deadline.Done():
		return fmt.Errorf("no answer in time: %w", deadline.Err())
	}
}

// gauge asks at each scrape, so that it and /readyz never tell two stories.
func (r *readiness) gauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_ready", Help: "1 if an event can be stored now, else 0: what /readyz answers.",
	}, func() float64 {
		if r.ask(context.Background()) != nil {
			return 0
		}
		return 1
	})
}

// newAdmin returns what the operator's listener answers.
func newAdmin(metrics *prometheus.Registry, ready *readiness, access adminAccess) http.Handler {
	metrics.MustRegister(ready.gauge())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready.answer(r.Context()); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
		fmt.Fprint(w, ready.told(r.Context()))
	})
	mux.HandleFunc("/debug/pprof/", access.protect(pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", access.protect(pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", access.protect(pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", access.protect(pprof.Symbol))
	mux.HandleFunc("/debug/pprof/trace", access.protect(pprof.Trace))
	mux.HandleFunc("GET /{$}", access.protect(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, adminPage)
	}))
	return access.rejectWebPages(mux)
}

const adminPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>postback-gateway</title>
<h1>postback-gateway</h1><ul>
<li><a href="readyz">readyz</a>: can an event be stored now, and why not</li>
<li><a href="healthz">healthz</a>: does the process live</li>
<li><a href="metrics">metrics</a>: for Prometheus</li>
<li><a href="debug/pprof/">debug/pprof</a>: profiles</li></ul></html>
`
