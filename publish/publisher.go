package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Publisher stores events. Make one with [Open]; it is safe for concurrent use.
type Publisher struct {
	cfg        Config
	metrics    *metrics
	monitor    *monitor.Monitor
	sender     *stream.Sender
	breaker    *breaker
	recovery   *recovery
	group      *groupSync  // nil if the server syncs by itself
	duplicates *duplicates // nil if the server alone recognises them
	fatal      chan error  // holds one
	log        *slog.Logger

	conflicts rate.Sometimes

	mu         sync.RWMutex // guards closing against the start of a publish
	closing    bool
	inProgress sync.WaitGroup
}

// Open connects, sets the streams up and returns a Publisher. ctx bounds the opening only.
//
// An error is a [ConfigError] and shows no credentials. Servers that cannot be reached are
// not an error: the background keeps trying, see [Publisher.Ready] and [Publisher.Err]. A
// nil reg registers no metrics.
func Open(ctx context.Context, cfg Config, logger *slog.Logger, reg prometheus.Registerer) (*Publisher, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := cfg.Prepare(); err != nil {
		return nil, err
	}
	if cfg.DataDir != "" && cfg.MaxBytes == 0 {
		logger.Warn("the free space of the disk is not known on this system, so the stream has no bound: configure one",
			slog.Any("error", &ConfigError{Field: "MaxBytes", Err: errors.New("not set")}))
	}
	p := &Publisher{cfg: cfg, log: logger, metrics: m, fatal: make(chan error, 1), conflicts: rate.Sometimes{Interval: conflictInterval}}
	if cfg.Sync != nil {
		p.group = newGroupSync(cfg.Sync, m.observeSync, p.syncFailed)
	}
	p.monitor, err = monitor.Open(ctx, monitor.Config{
		NATS: cfg.Config, Streams: cfg.Settings, AckTimeout: cfg.AckTimeout, DataDir: cfg.DataDir,
		Use: "stored", Fatal: p.fail, Purged: p.waitUntilDurable, Store: m.store, Servers: cfg.ServerMetrics, Log: logger,
	})
	if err != nil {
		return nil, err
	}
	p.recovery = &recovery{monitor: p.monitor, log: logger}
	p.breaker = newBreaker(cfg.AckTimeout, p.recovery.breakerChanged)
	p.recovery.breaker = p.breaker
	p.sender = &stream.Sender{Conn: p.monitor.Conn, AckTimeout: cfg.AckTimeout, Acknowledged: p.breaker.succeeded}
	p.monitor.Every(recoveryInterval, "", p.recovery.run)
	p.duplicates = newDuplicates(p)
	p.duplicates.waitBuilt(ctx)
	return p, nil
}

// Monitor returns the monitor of the streams, for a relay or a fallback that reads them.
func (p *Publisher) Monitor() *monitor.Monitor { return p.monitor }

// syncFailed ends the process: nobody can know what the disk has lost.
func (p *Publisher) syncFailed(err error) {
	p.fail(fmt.Errorf("events may not be on the disk (%w): check the disk; the platform delivers again what was not answered 200", err))
}

// fail ends the process. It does not wait for the reader of Err.
func (p *Publisher) fail(err error) {
	select {
	case p.fatal <- err:
	default: // another error ends it already
	}
}

// Err returns a channel with the error after which nothing can be stored any more: a
// failed sync, or a ConfigError that was found after Open because no server could be
// reached before. The process should end with status 1.
func (p *Publisher) Err() <-chan error { return p.fatal }

// Close rejects further publishes, waits for those in progress and closes the connection.
// When ctx ends first it stops waiting and returns ctx's error; publishes that are still
// in progress then fail.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	err := natsconn.Wait(ctx, &p.inProgress)
	p.duplicates.close(ctx)
	return errors.Join(err, p.monitor.Close(ctx))
}

var errClosing = errors.New("the gateway is shutting down")

// begin counts a publish as in progress. It fails once Close has begun.
func (p *Publisher) begin() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closing {
		return errClosing
	}
	p.inProgress.Add(1)
	return nil
}

// link returns the connection, or why nothing can be stored now. It asks no server and no
// disk: the monitor does.
func (p *Publisher) link() (*natsconn.Link, error) {
	if err := p.monitor.Check(); err != nil {
		return nil, err
	}
	if p.group != nil {
		if err := p.group.failed(); err != nil {
			return nil, err
		}
	}
	if p.cfg.Failed != nil {
		if err := p.cfg.Failed(); err != nil {
			return nil, fmt.Errorf("%s does not store: %w", p.cfg.Where(), err)
		}
	}
	link, err := p.monitor.Link()
	if err == nil {
		err = p.duplicates.err()
	}
	return link, err
}
