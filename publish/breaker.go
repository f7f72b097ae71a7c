package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// openTime is how long the breaker stays open after the last failure.
const openTime = 2 * time.Second

// breaker is a circuit breaker: while the store does not respond, deliveries are rejected
// at once instead of waiting for the whole of their time.
//
// It opens when a delivery has waited for patience and no other one was acknowledged
// meanwhile. Then it rejects deliveries, but lets one at a time through as a probe, for
// probeTime at most. The first acknowledgement closes it, of a probe or of a delivery that
// still waits. Without a further failure it lets everybody through after openTime, and the
// first deliveries find out for themselves. It is safe for concurrent use.
//
// The breakers of libraries go by the ends of calls. A delivery ends long after the
// acknowledgement, or the lack of one, that shows the state of the store.
type breaker struct {
	patience  time.Duration
	probeTime time.Duration
	changed   func(cause error) // called when it opens, and with nil when it closes

	base    time.Time    // the atomics count from here, in nanoseconds
	ackedAt atomic.Int64 // of the last acknowledgement
	until   atomic.Int64 // it is open until then; 0 once the store has responded

	mu        sync.Mutex
	nextProbe time.Time
	since     time.Time
	cause     error // of the last failure
}

func newBreaker(patience time.Duration, changed func(error)) *breaker {
	return &breaker{patience: patience, probeTime: patience / 2, changed: changed, base: time.Now()}
}

var errProbe = errors.New("the store has not answered for a while, and this delivery only asked whether it does again")

// allow lets a delivery through or returns why it is rejected. The context that it returns
// bounds a probe. The caller calls release at the end.
func (b *breaker) allow(ctx context.Context) (_ context.Context, release func(), _ error) {
	if !b.open() {
		return ctx, func() {}, nil
	}
	if !b.mayProbe() {
		return nil, nil, b.err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(b.probeTime, func() {
		if b.open() { // else another delivery was acknowledged, and this one has its whole time
			b.trip(b.probeTime, nil)
			cancel(errProbe)
		}
	})
	return ctx, func() { timer.Stop(); cancel(nil) }, nil
}

// mayProbe returns true once in a probeTime.
func (b *breaker) mayProbe() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.nextProbe) {
		return false
	}
	b.nextProbe = now.Add(b.probeTime)
	return true
}

// open reports whether deliveries are rejected.
func (b *breaker) open() bool { return int64(time.Since(b.base)) < b.until.Load() }

// tripped reports whether the store has not responded since the breaker last opened.
func (b *breaker) tripped() bool { return b.until.Load() != 0 }

// err returns why and since when the breaker is open; nil while it is closed.
func (b *breaker) err() error {
	if !b.open() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Errorf("no event has been acknowledged for %s: %w", time.Since(b.since).Round(time.Millisecond), b.cause)
}

// age returns how long nothing has been acknowledged, if the breaker is tripped.
func (b *breaker) age() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.since)
}

// failed records an attempt without an acknowledgement, of a delivery that waits since start.
func (b *breaker) failed(start time.Time, cause error) {
	silence := min(time.Since(start), time.Since(b.base)-time.Duration(b.ackedAt.Load()))
	if silence >= b.patience {
		b.trip(silence, cause)
	}
}

// trip opens the breaker or keeps it open.
func (b *breaker) trip(silence time.Duration, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if cause != nil {
		b.cause = cause
	}
	if b.until.Swap(int64(now.Add(openTime).Sub(b.base))) == 0 {
		b.since = now.Add(-silence)
		b.changed(b.cause)
	}
}

// succeeded records an acknowledgement.
func (b *breaker) succeeded() {
	b.ackedAt.Store(int64(time.Since(b.base)))
	if b.tripped() {
		b.close()
	}
}

// reset closes a breaker that lets deliveries through already: the store has responded to a
// probe.
func (b *breaker) reset() {
	if !b.open() {
		b.close()
	}
}

func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.Swap(0) != 0 {
		b.nextProbe = time.Time{}
		b.changed(nil)
	}
}
