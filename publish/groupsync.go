package publish

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// groupSync makes durable what the server has acknowledged: wait returns when a sync that
// began after the call has ended. One sync serves all callers that came before it began,
// so the more deliveries wait, the less each one pays. There is no timer: the next sync
// begins when the last one has ended and somebody waits.
//
// An error is final. After a failed sync the kernel may drop what it could not write, and
// the next sync may succeed. So every later wait gets the first error, and the process has
// to end.
type groupSync struct {
	sync    func() error
	observe func(took time.Duration, served int)
	fail    func(error) // called once, with the first error

	running chan struct{} // held while a sync runs
	mu      sync.Mutex
	next    *syncRound // of callers that the next sync will serve
	began   time.Time  // of the sync that runs; zero while there is none
	err     error
}

type syncRound struct {
	served int
	done   chan struct{}
	err    error // valid when done is closed
}

func newGroupSync(sync func() error, observe func(time.Duration, int), fail func(error)) *groupSync {
	return &groupSync{sync: sync, observe: observe, fail: fail, running: make(chan struct{}, 1)}
}

// wait returns nil when everything that was written before the call is durable.
func (g *groupSync) wait(ctx context.Context) error {
	round := g.join()
	for {
		select {
		case <-round.done:
			return round.err
		case <-ctx.Done():
			return fmt.Errorf("not synced to disk in time: %w", ctx.Err())
		case g.running <- struct{}{}:
			// Not in this goroutine: a disk that hangs must not hold the request beyond its
			// time.
			go g.run()
		}
	}
}

// join returns the round that the next sync will serve.
func (g *groupSync) join() *syncRound {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &syncRound{done: make(chan struct{})}
	}
	g.next.served++
	return g.next
}

// run syncs once for the callers that wait now. There may be none: their round may have been
// served between their call and this one.
func (g *groupSync) run() {
	defer func() { <-g.running }()
	start := time.Now()
	g.mu.Lock()
	round, err := g.next, g.err
	g.next, g.began = nil, start
	g.mu.Unlock()
	if round == nil {
		g.ended()
		return
	}
	if err == nil {
		if err = g.sync(); err != nil {
			err = fmt.Errorf("sync to disk: %w", err)
			g.setError(err)
		}
		g.observe(time.Since(start), round.served)
	}
	g.ended()
	round.err = err
	close(round.done)
}

func (g *groupSync) ended() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.began = time.Time{}
}

func (g *groupSync) setError(err error) {
	g.mu.Lock()
	g.err = err
	g.mu.Unlock()
	g.fail(err)
}

// syncStall is how long a sync may take before deliveries are rejected.
const syncStall = 5 * time.Second

// failed returns why syncing is pointless now: the error that ended it, or that the disk
// does not respond.
func (g *groupSync) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if took := time.Since(g.began); g.err == nil && !g.began.IsZero() && took > syncStall {
		return fmt.Errorf("the disk does not answer: a sync has been under way for %s", took.Round(time.Second))
	}
	return g.err
}
