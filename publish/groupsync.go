package publish

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// groupSync makes what the server has acknowledged durable: a caller of wait
// returns when a sync that began after its call has ended. One sync serves all
// who came before it began, so the more deliveries wait, the less each one pays.
// There is no timer: the next sync begins when the last one ends and somebody
// waits.
//
// An error is final. After a failed sync the kernel may have dropped what it
// could not write and call the next sync a success; so every later wait gets the
// first error, and the process has to end.
type groupSync struct {
	sync    func() error
	observe func(took time.Duration, served int)
	fail    func(error) // called once, with the first error

	lead chan struct{} // held by the one that syncs
	mu   sync.Mutex
	next *syncRound // who waits for the sync that has not begun
	err  error
}

type syncRound struct {
	served int
	done   chan struct{}
	err    error // valid when done is closed
}

func newGroupSync(sync func() error, observe func(time.Duration, int), fail func(error)) *groupSync {
	return &groupSync{sync: sync, observe: observe, fail: fail, lead: make(chan struct{}, 1)}
}

// wait returns nil when everything that was written before the call is durable.
func (g *groupSync) wait(ctx context.Context) error {
	mine := g.join()
	for {
		select {
		case <-mine.done:
			return mine.err
		case <-ctx.Done():
			return fmt.Errorf("not synced to disk in time: %w", ctx.Err())
		case g.lead <- struct{}{}:
			// Another leader can have served our round meanwhile. If none has,
			// ours is the next.
			select {
			case <-mine.done:
			default:
				g.run()
			}
			<-g.lead
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

// run syncs once for those who wait now. Only the leader calls it.
func (g *groupSync) run() {
	g.mu.Lock()
	round, err := g.next, g.err
	g.next = nil
	g.mu.Unlock()
	if err == nil {
		start := time.Now()
		if err = g.sync(); err != nil {
			g.latch(fmt.Errorf("sync to disk: %w", err))
			err = g.err
		}
		g.observe(time.Since(start), round.served)
	}
	round.err = err
	close(round.done)
}

func (g *groupSync) latch(err error) {
	g.mu.Lock()
	g.err = err
	g.mu.Unlock()
	g.fail(err)
}

// failed returns the error that ended syncing, if there was one.
func (g *groupSync) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
