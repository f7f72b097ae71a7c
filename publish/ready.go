package publish

import "context"

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
	return p.recovery.check(ctx)
}
