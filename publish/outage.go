package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// outageMemory is how long it is remembered that the store did not answer.
const outageMemory = 2 * time.Second

// outage knows when the store does not answer, so that not every delivery has to
// find that out by waiting for the whole of its time.
//
// The store counts as away when somebody has waited for patience and nobody was
// acknowledged meanwhile. From then on deliveries are refused at once, but for one
// at a time that is let through as a probe, for no longer than probeTime. The first
// acknowledgement that anybody gets, a probe or one who waits still, ends it. What
// nobody confirms is forgotten: after a quiet time the first deliveries find out
// for themselves. It is safe for concurrent use.
//
// The circuit breakers of libraries go by the ends of calls. A delivery ends long
// after the acknowledgement, or the lack of one, that tells how the store is.
type outage struct {
	patience  time.Duration
	probeTime time.Duration
	changed   func(cause error) // when it begins; with nil when it has ended

	base  time.Time    // what the atomics count from, in nanoseconds
	heard atomic.Int64 // when an acknowledgement came last
	until atomic.Int64 // the store counts as away until then; 0 once it has answered

	mu        sync.Mutex
	nextProbe time.Time
	since     time.Time
	cause     error // what came instead of an acknowledgement
}

func newOutage(patience time.Duration, changed func(error)) *outage {
	return &outage{patience: patience, probeTime: patience / 2, changed: changed, base: time.Now()}
}

var errProbed = errors.New("the store has not answered for a while, and this delivery only asked whether it does again")

// admit lets a delivery through, or says why that is of no use now. A probe's time
// is bounded by the context that admit returns; leave is called when it is done.
func (o *outage) admit(ctx context.Context) (_ context.Context, leave func(), _ error) {
	if !o.known() {
		return ctx, func() {}, nil
	}
	if !o.mayProbe() {
		return nil, nil, o.err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(o.probeTime, func() {
		if o.known() { // else somebody was answered, and this one has its whole time
			o.confirm(o.probeTime, nil)
			cancel(errProbed)
		}
	})
	return ctx, func() { timer.Stop(); cancel(nil) }, nil
}

// mayProbe is true once in a probeTime.
func (o *outage) mayProbe() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if now.Before(o.nextProbe) {
		return false
	}
	o.nextProbe = now.Add(o.probeTime)
	return true
}

// known tells whether the store counts as away.
func (o *outage) known() bool { return int64(time.Since(o.base)) < o.until.Load() }

// err says why the store counts as away, and since when; nil where it does not.
func (o *outage) err() error {
	if !o.known() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Errorf("no event has been acknowledged for %s: %w", time.Since(o.since).Round(time.Millisecond), o.cause)
}

// age is how long nothing has been acknowledged in an outage that is unsettled.
func (o *outage) age() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Since(o.since)
}

// unsettled tells whether the store has not answered since it last counted as away.
func (o *outage) unsettled() bool { return o.until.Load() != 0 }

// forget ends an outage that is not known any more: the store has answered, if only
// a question.
func (o *outage) forget() {
	if !o.known() {
		o.end()
	}
}

// suspect is told of an attempt that brought no acknowledgement to a delivery that
// has been waiting since start.
func (o *outage) suspect(start time.Time, cause error) {
	silence := min(time.Since(start), time.Since(o.base)-time.Duration(o.heard.Load()))
	if silence >= o.patience {
		o.confirm(silence, cause)
	}
}

// confirm begins an outage, or renews what is known of it.
func (o *outage) confirm(silence time.Duration, cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if cause != nil {
		o.cause = cause
	}
	if o.until.Swap(int64(now.Add(outageMemory).Sub(o.base))) == 0 {
		o.since = now.Add(-silence)
		o.changed(o.cause)
	}
}

// acknowledged is told of every acknowledgement.
func (o *outage) acknowledged() {
	o.heard.Store(int64(time.Since(o.base)))
	if o.unsettled() {
		o.end()
	}
}

func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.until.Swap(0) != 0 {
		o.nextProbe = time.Time{}
		o.changed(nil)
	}
}
