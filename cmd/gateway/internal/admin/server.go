package admin

import (
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Route is a part of the admin listener that only operators may use: on a loopback
// address, or with the token.
type Route struct {
	Pattern string // as for [http.ServeMux]
	Handler http.HandlerFunc
}

// New returns the handler of the admin listener.
func New(metrics *prometheus.Registry, ready *Readiness, access Access, routes ...Route) http.Handler {
	metrics.MustRegister(ready.gauge())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", ready.serve)
	mux.HandleFunc("/debug/pprof/", access.protect(pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", access.protect(pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", access.protect(pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", access.protect(pprof.Symbol))
	mux.HandleFunc("/debug/pprof/trace", access.protect(pprof.Trace))
	mux.HandleFunc("GET /{$}", access.protect(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	}))
	for _, r := range routes {
		mux.HandleFunc(r.Pattern, access.protect(r.Handler))
	}
	return access.rejectWebPages(mux)
}

func (r *Readiness) serve(w http.ResponseWriter, request *http.Request) {
	if err := r.probe(request.Context()); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
	fmt.Fprint(w, r.noteLines(request.Context()))
}

const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>postback-gateway</title>
<h1>postback-gateway</h1><ul>
<li><a href="readyz">readyz</a>: whether an event can be stored now, and why not</li>
<li><a href="healthz">healthz</a>: whether the process runs</li>
<li><a href="metrics">metrics</a>: for Prometheus</li>
<li><a href="debug/pprof/">debug/pprof</a>: profiles</li></ul></html>
`
