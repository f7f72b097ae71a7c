package publish

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/postback-gateway/gateway/publish/monitor"
)

// recovery closes the circuit breaker without a delivery. It handles what neither the
// connection nor the streams show: events that are not acknowledged.
type recovery struct {
	breaker    *breaker
	monitor    *monitor.Monitor
	log        *slog.Logger
	replacedAt time.Time // of the connection
}

// check returns why the breaker is open, or probes the store. Without deliveries nothing
// else would close the breaker, and a balancer that follows Ready would keep them away
// forever.
func (r *recovery) check(ctx context.Context) error {
	if err := r.breaker.err(); err != nil {
		return fmt.Errorf("%w%s", err, r.monitor.Conn.Reports.Report())
	}
	if !r.breaker.tripped() {
		return nil
	}
	if err := r.monitor.Streams.Probe(ctx, r.monitor.Conn); err != nil {
		return err
	}
	r.breaker.reset()
	return nil
}

// How often the gateway probes by itself, and how long nothing is acknowledged before it
// takes another connection. The election of a leader only takes time, up to nine seconds.
const (
	recoveryInterval = 2 * time.Second
	reconnectAfter   = 10 * time.Second
)

// run also replaces a connection that is up and leads nowhere: to a server that is cut off
// from the others, or that has dropped a subscription with a permission since restored.
func (r *recovery) run(ctx context.Context) error {
	link, err := r.monitor.Conn.Link()
	if err != nil || !r.breaker.tripped() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recoveryInterval)
	defer cancel()
	err = r.check(ctx)
	if err == nil || r.breaker.age() < reconnectAfter || time.Since(r.replacedAt) < reconnectAfter {
		return nil
	}
	r.log.Warn("nothing is acknowledged on this connection to NATS: trying another one",
		slog.String("server", link.NC.ConnectedServerName()), slog.Any("error", err))
	r.replacedAt = time.Now()
	if err := link.NC.ForceReconnect(); err != nil {
		r.log.Warn("the connection to NATS cannot be made again", slog.Any("error", err))
	}
	return nil
}

// breakerChanged logs that the breaker opens, or closes without a cause.
func (r *recovery) breakerChanged(cause error) {
	servers := slog.String("servers", r.monitor.Conn.Where())
	if cause == nil {
		r.monitor.Conn.Reports.Clear()
		r.log.Info("store responding again, accepting deliveries", servers)
		return
	}
	r.log.Warn("store not responding; rejecting deliveries until a probe succeeds", servers, slog.Any("error", cause))
}
