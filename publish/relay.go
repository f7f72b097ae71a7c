package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// RelayConsumer is the name of the durable consumers, one on each local stream,
// that hold how far the relay has come.
const RelayConsumer = "relay"

// Relay moves what a [Publisher] stores on this machine to the streams of a
// cluster: in the order of the store, with the same subjects and ids, however
// long the cluster is away. A message counts as moved, and may leave the local
// store, when the cluster has acknowledged it; so after a crash the last ones are
// sent again, and the cluster's duplicate window tells that they are there.
//
// What it holds in memory is bounded, whatever the backlog: a few MiB for each of
// the two streams. Make one with [OpenRelay].
type Relay struct {
	from  *Publisher
	to    *Publisher
	lanes []*lane
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// OpenRelay starts to move what from stores to the servers of cfg. from was
// opened with Config.Relayed. ctx bounds the opening only.
//
// An error is a fault of the settings of this gateway. Whatever the cluster says
// or does not say is logged, told by [Relay.Backlog], and tried again: a delivery
// does not depend on it.
func OpenRelay(ctx context.Context, from *Publisher, cfg Config, logger *slog.Logger) (*Relay, error) {
	cfg.relay = true
	m, err := newMetrics(nil)
	if err != nil {
		return nil, err
	}
	m.connection, m.unclaimed, m.consumers = from.metrics.cluster, from.metrics.unclaimed, from.metrics.consumers
	to, err := open(ctx, cfg, logger, m)
	if err != nil {
		return nil, err
	}
	r := &Relay{from: from, to: to}
	r.lanes = []*lane{
		newLane(r, from.cfg.Stream, cfg.Stream),
		newLane(r, from.cfg.deadLetterStream(), cfg.deadLetterStream()),
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	for _, l := range r.lanes {
		r.done.Go(func() { l.run(running) })
	}
	r.done.Go(func() { r.watch(running) })
	return r, nil
}

// drainTime is for what comes in the last moments of a gateway. A backlog that takes
// longer stays for the next start: nobody should wait for it.
const drainTime = 2 * time.Second

const leftBehind = "what is not stays in the data directory until a gateway runs on it with GATEWAY_RELAY=true"

// Close moves what waits, where that is a matter of moments, and stops the relay; so
// a gateway that stops while the cluster is there leaves nothing behind. Otherwise
// what the cluster has not acknowledged stays in the local store for the next start,
// and the log says how much. When ctx ends first Close returns its error.
func (r *Relay) Close(ctx context.Context) error {
	switch b, err := r.drain(ctx); {
	case err != nil:
		r.to.log.Warn("it is not known whether everything is relayed: "+leftBehind, slog.Any("error", err))
	case b.Messages > 0:
		r.to.log.Warn("not everything is relayed: "+leftBehind, slog.Uint64("events", b.Messages), slog.String("reason", b.String()))
	default:
		r.to.log.Info("everything is relayed")
	}
	r.stop()
	return errors.Join(wait(ctx, &r.done), r.to.Close(ctx))
}

// drain waits until nothing is left, the cluster does not take it, or the time is
// up, and returns what is left then.
func (r *Relay) drain(ctx context.Context) (Backlog, error) {
	waiting, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	for {
		b, err := r.Backlog(ctx)
		if err != nil || b.Messages == 0 || b.Trouble != "" || waiting.Err() != nil {
			return b, err
		}
		sleep(waiting, retryWait)
	}
}

// Backlog is what waits to be relayed.
type Backlog struct {
	Messages uint64        // events and dead letters
	Age      time.Duration // since the oldest of them was stored; 0 where none waits
	Trouble  string        // why it does not get less; empty while it does
}

// String tells an operator what waits, and why.
func (b Backlog) String() string {
	switch {
	case b.Trouble != "":
		return fmt.Sprintf("%d events wait to be relayed, the oldest for %s: %s", b.Messages, b.Age.Round(time.Second), b.Trouble)
	case b.Messages == 0:
		return "everything is relayed"
	default:
		return fmt.Sprintf("%d events wait to be relayed, the oldest for %s", b.Messages, b.Age.Round(time.Millisecond))
	}
}

// Backlog asks the local store what waits. It is safe for concurrent use. The
// error says that the store does not answer.
func (r *Relay) Backlog(ctx context.Context) (Backlog, error) {
	var all Backlog
	for _, l := range r.lanes {
		n, age, err := l.backlog(ctx)
		if err != nil {
			return all, err
		}
		all.Messages += n
		all.Age = max(all.Age, age)
		if all.Trouble == "" {
			all.Trouble = l.trouble.String()
		}
	}
	return all, nil
}

// measureInterval is how often the metrics of the backlog are brought up to date.
const measureInterval = time.Second

// watch keeps the metrics of the backlog until ctx ends.
func (r *Relay) watch(ctx context.Context) {
	r.from.every(ctx, measureInterval, "the metrics of the relay stay as they are", r.measure)
}

func (r *Relay) measure(ctx context.Context) error {
	b, err := r.Backlog(ctx)
	if err == nil {
		r.from.metrics.relayPending.Set(float64(b.Messages))
		r.from.metrics.relayLag.Set(b.Age.Seconds())
	}
	return err
}
