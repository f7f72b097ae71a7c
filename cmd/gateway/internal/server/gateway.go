package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/admin"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/console"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/reload"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/tracing"
	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/relay"
)

// Addresses are where a running gateway is reached.
type Addresses struct {
	Webhook string // base URL of the public listener
	Admin   string // base URL of the admin listener
	NATS    string // URL for consumers; empty if the embedded server does not listen
}

// Options are what is not a setting.
type Options struct {
	Version        string
	Started        func(Addresses) // called once everything listens; may be nil
	ReloadInterval time.Duration   // of files of secrets; 0: reload.DefaultInterval
	// WatchDeliveries has the console take deliveries also while nobody looks.
	WatchDeliveries bool
}

// Run runs the gateway until ctx ends, or returns why it failed.
func Run(ctx context.Context, s *settings.Settings, log *slog.Logger, o Options) error {
	g := &gateway{settings: s, options: o, log: log, registry: admin.NewRegistry(o.Version), failed: make(chan error, 3)}
	err := g.start(ctx)
	if err == nil {
		log.Info("gateway is up", "webhook", g.at.Webhook, "admin", g.at.Admin, "nats", g.at.NATS, "version", o.Version)
		if o.Started != nil {
			o.Started(g.at)
		}
		err = g.wait(ctx)
	}
	if err != nil {
		log.Error("gateway failed", "error", err)
	}
	stopErr := g.stop()
	if stopErr != nil {
		log.Error("gateway did not stop cleanly", "error", stopErr)
	}
	if err := errors.Join(err, stopErr); err != nil {
		return LoggedError{err}
	}
	return nil
}

// LoggedError is an error that is in the log already, so that it is not printed again.
type LoggedError struct{ error }

// Unwrap returns the error itself.
func (e LoggedError) Unwrap() error { return e.error }

// gateway holds the parts of a running gateway.
type gateway struct {
	settings *settings.Settings
	options  Options
	log      *slog.Logger
	registry *prometheus.Registry
	at       Addresses
	tracer   trace.Tracer // nil without tracing

	embedded      *embedded.Server // nil without an embedded server
	publisher     *publish.Publisher
	consumers     *monitor.Monitor // of the streams that consumers read
	ingest        *ingest.Server
	serverMetrics *monitor.ServerMetrics
	relayMetrics  *relay.Metrics
	secrets       *reload.Secrets
	ready         admin.Readiness
	ring          *console.Ring // the deliveries that the console shows
	notice        time.Duration // for which a stop goes on accepting deliveries
	failed        chan error    // errors of the listeners

	stops []stop // in the order of the starts
}

// stop stops one part. ctx ends with the shutdown timeout.
type stop struct {
	name string
	run  func(ctx context.Context) error
}

func (g *gateway) onStop(name string, run func(context.Context) error) {
	g.stops = append(g.stops, stop{name, run})
}

// start starts the parts in order. stop stops those that were started, also after an
// error.
func (g *gateway) start(ctx context.Context) error {
	collectRarely()
	for _, warning := range g.settings.Warnings() {
		g.log.Warn(warning)
	}
	// Tracing is the first to start and the last to stop: it sends the spans of the others,
	// and a collector that does not respond delays none of them.
	if err := g.startTracing(ctx); err != nil {
		return err
	}
	// Binding comes before anything slow, so that an address in use is reported at once, and
	// before anything is written.
	public, operators, err := g.listen()
	if err != nil {
		return err
	}
	if err := g.lockDataDir(); err != nil {
		return err
	}
	g.secrets = reload.NewSecrets(g.settings, g.log, g.registry)
	if err := g.startStore(ctx); err != nil {
		return err
	}
	if err := g.startForwarder(); err != nil {
		return err
	}
	return g.serve(public, operators)
}

func (g *gateway) startTracing(ctx context.Context) error {
	if !g.settings.OTLPEndpoint.IsSet() {
		return nil
	}
	tracer, stop, err := tracing.Start(ctx, tracing.Config{Endpoint: g.settings.OTLPEndpoint.Reveal(), Version: g.options.Version}, g.log)
	if err != nil {
		return fmt.Errorf("GATEWAY_OTLP_ENDPOINT: %w", err)
	}
	g.tracer = tracer
	g.onStop("tracing", stop)
	return nil
}

// lockDataDir keeps other processes out of the data directory if it is used, and gets
// the secrets that are stored there.
func (g *gateway) lockDataDir() error {
	s := g.settings
	if !s.RunsNATS() && len(s.MetaAppSecrets) > 0 && s.MetaVerifyToken.IsSet() {
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
	created, err := s.GenerateLocalSecrets(rand.Reader)
	if len(created) > 0 {
		g.log.Info("generated random secrets in place of those that are not configured: a verify token is for Meta's App Dashboard, "+
			"an app secret only for tests, so set GATEWAY_META_APP_SECRETS to that of your app before you connect it", "files", created)
	}
	return err
}

// serve starts to accept requests, when everything that they need has been started.
func (g *gateway) serve(public, operators net.Listener) error {
	g.ring = console.NewRing(eventSubjects(g.settings))
	if g.options.WatchDeliveries {
		g.ring.Watch()
	}
	in, err := g.newIngest()
	if err != nil {
		return err
	}
	g.ingest = in
	g.serveAdmin(operators)
	if err := g.servePublic(public); err != nil {
		return err
	}
	g.secrets.WatchSecrets()
	g.secrets.Start(g.options.ReloadInterval)
	g.onStop("reloading of files", g.secrets.Stop)
	return nil
}

// wait returns nil when ctx ends, or an error that ends the gateway.
func (g *gateway) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		g.log.Info("stopping, finishing requests in progress", "timeout", g.settings.ShutdownTimeout.String())
		return nil
	case err := <-g.failed:
		return err
	case err := <-g.publisher.Err():
		return err
	case err := <-g.embedded.Err():
		return err
	}
}

// stop stops the parts in reverse order, all of them within the shutdown timeout.
func (g *gateway) stop() error {
	g.notice = g.ready.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), g.settings.ShutdownTimeout)
	defer cancel()
	start := time.Now()
	var errs []error
	for i := len(g.stops) - 1; i >= 0; i-- {
		if err := g.stops[i].run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping the %s: %w", g.stops[i].name, err))
		}
	}
	g.log.Info("gateway has stopped", "duration", time.Since(start).String())
	return errors.Join(errs...)
}
