package server

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/admin"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/console"
)

// Timeouts of the listeners. Meta gives up on a delivery after a few seconds, so a
// slower sender would only occupy a slot.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	idleTimeout       = 2 * time.Minute // longer than that of usual proxies, so that they close first
	maxHeaderBytes    = 64 << 10
)

func (g *gateway) newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + g.settings.PublishTimeout + readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * is answered like every other unknown path.
		DisableGeneralOptionsHandler: true,
		// Broken handshakes and the like are not errors of the gateway.
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

func (g *gateway) serveAdmin(listener net.Listener) {
	access := admin.Access{Loopback: admin.IsLoopback(listener.Addr()), Token: g.secrets.AdminToken}
	pages := admin.Pages{Console: g.newConsole(g.ingest), Assets: console.Assets(), Login: console.Login()}
	status := admin.Route{Pattern: "GET /api/status", Handler: g.serveStatus}
	server := g.newHTTPServer(admin.New(g.registry, &g.ready, access, pages, status))
	server.WriteTimeout = 0 // a profile takes as long as the request says, and the console's list is open as long as the page
	// A profile or a scrape in progress does not delay the stop.
	g.onStop("admin requests", func(context.Context) error { return server.Close() })
	go g.serveOn(server, g.checked("admin listener", listener))
}

func (g *gateway) servePublic(listener net.Listener) error {
	server := g.newHTTPServer(g.withHealthPath(g.ingest))
	server.ErrorLog = stdlog.New(newErrorLog(g.log, g.registry), "", 0)
	if g.settings.TLSCert != "" {
		cfg, err := newTLSConfig(g.settings, g.secrets.Files)
		if err != nil {
			return err
		}
		server.TLSConfig = cfg
	}
	d := newDrainer(server)
	g.onStop("requests", func(ctx context.Context) error {
		// The rest of the time is for the parts that are stopped after the requests.
		ctx, cancel := context.WithTimeout(ctx, g.settings.ShutdownTimeout*3/4)
		defer cancel()
		sleep(ctx, min(g.notice, g.settings.ShutdownTimeout/4))
		return d.drain(ctx, listener)
	})
	go g.serveOn(server, g.checked("public listener", listener))
	return nil
}

// withHealthPath answers the health path, if there is one, before the webhooks.
func (g *gateway) withHealthPath(webhooks http.Handler) http.Handler {
	path, health := g.settings.HealthPath, g.ready.Health()
	if path == "" {
		return webhooks
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			health.ServeHTTP(w, r)
			return
		}
		webhooks.ServeHTTP(w, r)
	})
}

// checked makes readiness depend on a listener.
func (g *gateway) checked(name string, listener net.Listener) net.Listener {
	c := newCheckedListener(listener, g.log)
	g.ready.AddCheck(name, c.check)
	return c
}

// serveOn serves until the listener is closed.
func (g *gateway) serveOn(server *http.Server, listener net.Listener) {
	serve := server.Serve
	if server.TLSConfig != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	if err := serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		g.failed <- fmt.Errorf("listener on %s: %w", listener.Addr(), err)
	}
}

const (
	// idleGrace is how long idle connections stay open for one last request.
	idleGrace = time.Second
	// flushTime is how long the last responses may take to be written.
	flushTime = 500 * time.Millisecond
	// drainPoll is how often drain checks whether it is done.
	drainPoll = 5 * time.Millisecond
)

// drainer stops a server so that clients see no error on connections that they keep.
// http.Server.Shutdown and SetKeepAlivesEnabled alone close every idle connection at
// once: a request that is just arriving gets a reset instead of a response.
type drainer struct {
	server   *http.Server
	draining atomic.Bool
	requests atomic.Int64 // in progress
	open     atomic.Int64 // connections
}

func newDrainer(server *http.Server) *drainer {
	d := &drainer{server: server}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.requests.Add(1)
		defer d.requests.Add(-1)
		if d.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			d.open.Add(1)
		case http.StateClosed:
			d.open.Add(-1)
		}
	}
	return d
}

// drain closes the listener, finishes the requests in progress, and closes each
// connection after its next response, or when it stays idle. It returns an error if ctx
// ends before the requests do.
func (d *drainer) drain(ctx context.Context, listener net.Listener) error {
	// In this order: a client that is told to close its connection makes another one, which
	// would be reset if the listener were closed while it waits to be accepted.
	err := closeListener(listener)
	d.draining.Store(true)
	idle := time.Now().Add(idleGrace)
	for d.open.Load() > 0 && ctx.Err() == nil && (d.requests.Load() > 0 || time.Now().Before(idle)) {
		sleep(ctx, drainPoll)
	}
	cutOff := d.requests.Load()
	// Shutdown waits until the last responses are written.
	flush, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	_ = d.server.Shutdown(flush)
	_ = d.server.Close()
	if cutOff > 0 {
		return fmt.Errorf("%d requests were cut off: %w", cutOff, context.Cause(ctx))
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
