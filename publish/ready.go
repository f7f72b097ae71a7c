package publish

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Ready returns nil only if an event can be stored now: the connection is up, the leaders
// of both streams respond, and there is room. The error says what is wrong and what to do,
// without credentials. ctx bounds it (5s without a deadline). Of the past it only knows
// that events were not acknowledged.
func (p *Publisher) Ready(ctx context.Context) error {
	p.mu.RLock()
	closing := p.closing
	p.mu.RUnlock()
	if closing {
		return errClosing
	}
	if _, err := p.link(); err != nil {
		return err
	}
	if err := p.monitor.Ready(ctx); err != nil {
		return err
	}
	return p.checkBreaker(ctx)
}

// checkBreaker is for what neither the connection nor the streams show: events that are not
// acknowledged. Without deliveries nothing would close the breaker, and a balancer that
// follows Ready would keep deliveries away forever; so it probes.
func (p *Publisher) checkBreaker(ctx context.Context) error {
	if err := p.breaker.err(); err != nil {
		return fmt.Errorf("%w%s", err, p.monitor.Conn.Reported())
	}
	if !p.breaker.tripped() {
		return nil
	}
	if err := p.monitor.Streams.Probe(ctx, p.monitor.Conn); err != nil {
		return err
	}
	p.breaker.reset()
	return nil
}

// How often the gateway probes by itself, and how long nothing is acknowledged before it
// takes another connection. The election of a leader only takes time, up to nine seconds.
const (
	recoverInterval = 2 * time.Second
	reconnectAfter  = 10 * time.Second
)

// recover closes the breaker if the store has recovered without a delivery. It replaces a
// connection that is up and leads nowhere: to a server that is cut off from the others, or
// that has dropped a subscription with a permission since restored.
func (p *Publisher) recover(ctx context.Context) error {
	link, err := p.monitor.Conn.Link()
	if err != nil || !p.breaker.tripped() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recoverInterval)
	defer cancel()
	err = p.checkBreaker(ctx)
	if err != nil && p.breaker.age() >= reconnectAfter && time.Since(p.replacedAt) >= reconnectAfter {
		p.monitor.Conn.Replace(link, err)
		p.replacedAt = time.Now()
	}
	return nil
}

func (p *Publisher) breakerChanged(cause error) {
	servers := slog.String("servers", p.cfg.Where())
	if cause == nil {
		p.monitor.Conn.ClearReported()
		p.log.Info("store responding again, accepting deliveries", servers)
		return
	}
	p.log.Warn("store not responding; rejecting deliveries until a probe succeeds", servers, slog.Any("error", cause))
}
