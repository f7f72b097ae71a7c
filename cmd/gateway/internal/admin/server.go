package admin

import (
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Pages are what the admin listener shows in a browser.
type Pages struct {
	Console http.Handler // the page and its API; only whoever may use the listener gets there
	Assets  http.Handler // files that anybody may have
	Login   []byte       // the page that asks for the token
}

// Route is a part of the admin listener that only operators may use: on a loopback
// address, or with the token.
type Route struct {
	Pattern string // as for [http.ServeMux]
	Handler http.HandlerFunc
}

// New returns the handler of the admin listener.
func New(metrics *prometheus.Registry, ready *Readiness, access Access, pages Pages, routes ...Route) http.Handler {
	metrics.MustRegister(ready.gauge())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", ready.serve)
	pprofs := map[string]http.HandlerFunc{"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace}
	for name, profile := range pprofs {
		mux.HandleFunc("/debug/pprof/"+name, access.protect(profile))
	}
	for _, r := range routes {
		mux.HandleFunc(r.Pattern, access.protect(r.Handler))
	}
	mux.Handle("GET /assets/", secure(http.StripPrefix("/assets", pages.Assets)))
	mux.Handle("POST /login", secure(newLogin(access)))
	mux.Handle("/", secure(access.protectPage(pages.Console, pages.Login)))
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
