package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
)

// Config is that of a [Relay].
type Config struct {
	publish.Config // of the cluster
	Metrics        *Metrics
	Log            *slog.Logger
}

// Relay moves what a Publisher stores on this machine to the streams of a cluster, in the
// order of the store, with the same subjects and ids, however long the cluster is away. A
// message counts as moved, and may leave the local store, when the cluster has acknowledged
// it. After a crash the last ones are sent again, and the cluster drops the duplicates.
//
// It keeps a few MiB for each stream in memory, whatever the backlog. Make one with [Open].
type Relay struct {
	local, cluster *monitor.Monitor
	movers         []*mover
	metrics        *Metrics
	log            *slog.Logger
	stop           context.CancelFunc
	done           sync.WaitGroup
}

// Open starts to move what from stores to the servers of cfg. from was opened with
// Relayed. ctx bounds the opening only.
//
// An error is a ConfigError of this gateway. Whatever is wrong with the cluster is logged,
// returned by [Relay.Backlog], and retried: a delivery does not depend on it.
func Open(ctx context.Context, from *publish.Publisher, cfg Config) (*Relay, error) {
	if err := cfg.Prepare(); err != nil {
		return nil, err
	}
	cluster, err := monitor.Open(ctx, monitor.Config{
		NATS: cfg.Config.Config, Streams: cfg.Settings, AckTimeout: cfg.AckTimeout,
		Use: "relayed", NewAfterLoss: true, Patient: true, Servers: cfg.ServerMetrics, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	r := &Relay{local: from.Monitor(), cluster: cluster, metrics: cfg.Metrics, log: cfg.Log}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	for _, spec := range r.local.Streams.Specs() {
		if spec.Relayed {
			m := newMover(r, spec, from.CountDeadLetter)
			r.movers = append(r.movers, m)
			r.done.Go(func() { m.run(running) })
		}
	}
	r.local.Every(backlogInterval, "the metrics of the relay stay as they are", r.sampleBacklog)
	return r, nil
}

// Cluster returns the monitor of the cluster's streams.
func (r *Relay) Cluster() *monitor.Monitor { return r.cluster }

// drainTime is for what comes in the last moments of a gateway. A larger backlog stays for
// the next start: nobody should wait for it.
const drainTime = 2 * time.Second

const leftBehind = "what is not stays in the data directory until a gateway with a relay runs on it"

// Close moves what waits, if that takes moments, and stops the relay. So a gateway that
// stops while the cluster is up leaves nothing behind. Otherwise what the cluster has not
// acknowledged stays in the local store for the next start, and the log says how much.
// When ctx ends first Close returns its error.
func (r *Relay) Close(ctx context.Context) error {
	switch b, err := r.drain(ctx); {
	case err != nil:
		r.log.Warn("it is not known whether everything is relayed: "+leftBehind, slog.Any("error", err))
	case b.Messages > 0:
		r.log.Warn("not everything is relayed: "+leftBehind, slog.Uint64("events", b.Messages), slog.String("reason", b.String()))
	default:
		r.log.Info("everything is relayed")
	}
	r.stop()
	return errors.Join(natsconn.Wait(ctx, &r.done), r.cluster.Close(ctx))
}

// drain waits until nothing is left, the cluster does not accept it, or the time is over.
// It returns what is left then.
func (r *Relay) drain(ctx context.Context) (Backlog, error) {
	waiting, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	for {
		b, err := r.Backlog(ctx)
		if err != nil || b.Messages == 0 || b.LastError != "" || waiting.Err() != nil {
			return b, err
		}
		natsconn.Sleep(waiting, drainTime/200)
	}
}

// Backlog is what waits to be relayed.
type Backlog struct {
	Messages  uint64        // events and dead letters
	Age       time.Duration // since the oldest of them was stored; 0 if there are none
	LastError string        // why it does not shrink; empty while it does
}

// String describes the backlog for an operator.
func (b Backlog) String() string {
	switch {
	case b.LastError != "":
		return fmt.Sprintf("%d events wait to be relayed, the oldest for %s: %s", b.Messages, b.Age.Round(time.Second), b.LastError)
	case b.Messages == 0:
		return "everything is relayed"
	default:
		return fmt.Sprintf("%d events wait to be relayed, the oldest for %s", b.Messages, b.Age.Round(time.Millisecond))
	}
}

// Backlog asks the local store what waits. It is safe for concurrent use. The error says
// that the store does not respond.
func (r *Relay) Backlog(ctx context.Context) (Backlog, error) {
	var all Backlog
	for _, m := range r.movers {
		n, age, err := m.backlog(ctx)
		if err != nil {
			return all, err
		}
		all.Messages += n
		all.Age = max(all.Age, age)
		if err := m.to.Last.Err(); err != nil && all.LastError == "" {
			all.LastError = err.Error()
		}
	}
	return all, nil
}

// backlogInterval is how often the metrics of the backlog are updated.
const backlogInterval = time.Second

func (r *Relay) sampleBacklog(ctx context.Context) error {
	b, err := r.Backlog(ctx)
	if err == nil {
		r.metrics.pending.Set(float64(b.Messages))
		r.metrics.lag.Set(b.Age.Seconds())
	}
	return err
}

// Metrics describe the relay. They are registered without a relay too, so that a dashboard
// finds every series.
type Metrics struct {
	pending, lag prometheus.Gauge
	relayed      prometheus.Counter
}

// NewMetrics registers the metrics with reg. A nil reg registers nothing.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "gateway_relay_pending_events", Help: "Events and dead letters that wait to be relayed."}),
		lag:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "gateway_relay_lag_seconds", Help: "Time since the oldest of them was stored."}),
		relayed: prometheus.NewCounter(prometheus.CounterOpts{Name: "gateway_relayed_events_total", Help: "Events and dead letters that were relayed."}),
	}
	return m, monitor.Register(reg, m.pending, m.lag, m.relayed)
}
