package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/relay"
)

// The HTTP side and the store know nothing of each other; here they are joined.
var _ ingest.Publisher = (*publish.Publisher)(nil)

// addresses is where a running gateway can be reached.
type addresses struct {
	webhook string // base URL of the public listener
	admin   string // base URL of the operator's listener
	nats    string // URL for consumers; empty where the embedded server does not listen
}

// run is the whole gateway, from its start to its orderly end: it returns when
// ctx ends, or with the error that ended it. up, where there is one, is called
// once, when everything listens.
func run(ctx context.Context, s *settings, log *slog.Logger, up func(addresses)) error {
	g := &gateway{settings: s, log: log, registry: newRegistry(), failed: make(chan error, 3)}
	err := g.start(ctx)
	if err == nil {
		log.Info("gateway is up", "webhook", g.at.webhook, "admin", g.at.admin, "nats", g.at.nats, "version", buildVersion())
		if up != nil {
			up(g.at)
		}
		err = g.wait(ctx)
	}
	if err != nil {
		log.Error("the gateway ends", "error", err)
	}
	stopErr := g.stop()
	if stopErr != nil {
		log.Error("the gateway did not stop in order", "error", stopErr)
	}
	if err := errors.Join(err, stopErr); err != nil {
		return loggedError{err}
	}
	return nil
}

// loggedError is an error that the log holds already, so that nobody prints it again.
type loggedError struct{ error }

func (e loggedError) Unwrap() error { return e.error }

// gateway holds the parts of a running gateway.
type gateway struct {
	settings *settings
	log      *slog.Logger
	registry *prometheus.Registry
	at       addresses
	tracer   trace.Tracer // nil with tracing off

	embedded      *embedded.Server // nil where there is a cluster
	publisher     *publish.Publisher
	serverMetrics *monitor.ServerMetrics
	relayMetrics  *relay.Metrics
	secrets       *rotation
	ready         readiness
	failed        chan error // what ends a running gateway

	stops []stop // in the order of the starts
}

// stop ends one part. ctx is the time that is left for it.
type stop struct {
	what string
	do   func(ctx context.Context) error
}

func (g *gateway) onStop(what string, do func(context.Context) error) {
	g.stops = append(g.stops, stop{what, do})
}

// start starts the parts in order. What is started is stopped by stop, also
// after an error.
func (g *gateway) start(ctx context.Context) error {
	for _, warning := range g.settings.warnings() {
		g.log.Warn(warning)
	}
	// The first to start is the last to stop: the end of every span is sent, and
	// a collector that does not answer holds up nothing else.
	if err := g.startTracing(ctx); err != nil {
		return err
	}
	if err := g.claimDataDir(); err != nil {
		return err
	}
	g.secrets = newRotation(g.settings, g.log, g.registry)
	public, admin, err := g.listen()
	if err != nil {
		return err
	}
	if err := g.startStore(ctx); err != nil {
		return err
	}
	return g.serve(public, admin)
}

// claimDataDir makes the data directory this process's own, where it is used,
// and gets the secrets that are kept in it.
func (g *gateway) claimDataDir() error {
	s := g.settings
	if !s.embedded() && len(s.MetaAppSecrets) > 0 && s.MetaVerifyToken.set() {
		return nil
	}
	unlock, err := embedded.Lock(s.DataDir)
	if err != nil {
		return err
	}
	g.onStop("data directory", func(context.Context) error {
		if g.embedded != nil && !g.embedded.Stopped() {
			return nil // still written to; the lock ends with the process
		}
		return unlock()
	})
	made, err := s.makeLocalSecrets(rand.Reader)
	if len(made) > 0 {
		g.log.Info("made random secrets where none were configured: enter the verify token in Meta's App Dashboard, "+
			"and set GATEWAY_META_APP_SECRETS to your app's secret before you connect it", "files", made)
	}
	return err
}

// listen binds both addresses before anything slow starts, so that one that is
// taken is told at once.
func (g *gateway) listen() (public, admin net.Listener, err error) {
	public, err = bind("GATEWAY_LISTEN", g.settings.Listen)
	if err != nil {
		return nil, nil, err
	}
	g.onStop("public listener", closeListener(public))
	admin, err = bind("GATEWAY_ADMIN_LISTEN", g.settings.AdminListen)
	if err != nil {
		return nil, nil, err
	}
	g.onStop("operator's listener", closeListener(admin))
	scheme := "http://"
	if g.settings.TLSCert != "" {
		scheme = "https://"
	}
	g.at.webhook, g.at.admin = scheme+reachable(public.Addr().String()), "http://"+reachable(admin.Addr().String())
	return public, admin, nil
}

func bind(variable, address string) (net.Listener, error) {
	// Multipath TCP, which Go listens with by default, knows no filters: see onlyKnown.
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s (%w): stop what listens there, or set another address", variable, address, err)
	}
	return listener, nil
}

func closeListener(l net.Listener) func(context.Context) error {
	return func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func (g *gateway) serve(public, admin net.Listener) error {
	cfg := g.settings.ingestConfig()
	cfg.Tracer = g.tracer
	in, err := ingest.New(cfg, g.publisher, g.log, g.registry)
	if err != nil {
		return err
	}
	g.secrets.onChange(func(s *settings) error { return in.SetSecrets(s.ingestSecrets()) },
		"META_APP_SECRETS", "META_VERIFY_TOKEN", "TELEGRAM_SECRETS")
	web := g.httpServer(in)
	web.ErrorLog = stdlog.New(newHandshakeLog(g.log, g.registry), "", 0)
	if g.settings.TLSCert != "" {
		if web.TLSConfig, err = newTLSConfig(g.settings, g.secrets.files); err != nil {
			return err
		}
	}
	operator := g.httpServer(newAdmin(g.registry, &g.ready, adminAccess{loopback: isLoopback(admin.Addr()), token: g.secrets.adminToken}))
	operator.WriteTimeout = 0 // a profile takes as long as it is asked to
	// Nothing is lost with a profile or a scrape that is under way.
	g.onStop("operator's requests", func(context.Context) error { return operator.Close() })
	goodbye := newGoodbye(web)
	g.onStop("requests", func(ctx context.Context) error {
		// A part of the time is kept for what comes after the requests.
		ctx, cancel := context.WithTimeout(ctx, g.settings.ShutdownTimeout*3/4)
		defer cancel()
		defer in.Drain()
		return goodbye.shutdown(ctx, public, g.ready.notice())
	})
	go g.serveOn(web, g.watch("public listener", public))
	go g.serveOn(operator, g.watch("admin listener", admin))
	g.startRereading()
	return nil
}

// startRereading comes last, when all who use secrets are there.
func (g *gateway) startRereading() {
	g.secrets.watch()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.secrets.files.run(ctx, cmp.Or(g.settings.rereadEvery, rereadInterval))
	}()
	g.onStop("files of secrets", func(context.Context) error {
		stop()
		select {
		case <-done:
		case <-time.After(lookEndTime): // a file system that does not answer
		}
		return nil
	})
}

// watch makes readiness depend on the listener.
func (g *gateway) watch(name string, listener net.Listener) net.Listener {
	watched := watchListener(listener, g.log)
	g.ready.add(name, watched.check)
	return watched
}

// serveOn returns when the server is shut down: http.Server.Shutdown waits for
// its requests.
func (g *gateway) serveOn(server *http.Server, listener net.Listener) {
	serve := server.Serve
	if server.TLSConfig != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	if err := serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		g.failed <- fmt.Errorf("listener on %s: %w", listener.Addr(), err)
	}
}

// wait returns nil when ctx ends, and else the error that makes going on useless.
func (g *gateway) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		g.log.Info("stopping: not ready from now on, requests under way are finished", "timeout", g.settings.ShutdownTimeout.String())
		return nil
	case err := <-g.failed:
		return err
	case err := <-g.publisher.Err():
		return err
	case err := <-g.embedded.Err():
		return err
	}
}

// stop ends the parts in reverse, all of them within the shutdown timeout.
func (g *gateway) stop() error {
	g.ready.drain()
	ctx, cancel := context.WithTimeout(context.Background(), g.settings.ShutdownTimeout)
	defer cancel()
	start := time.Now()
	var errs []error
	for i := len(g.stops) - 1; i >= 0; i-- {
		if err := g.stops[i].do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping the %s: %w", g.stops[i].what, err))
		}
	}
	g.log.Info("gateway has stopped", "duration", time.Since(start).String())
	return errors.Join(errs...)
}
