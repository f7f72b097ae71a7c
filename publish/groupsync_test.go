package publish

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heldSync is a sync that the test lets go on, and that tells when it begins.
type heldSync struct {
	begun chan struct{}
	end   chan error
}

func newHeldSync() *heldSync { return &heldSync{make(chan struct{}), make(chan error)} }

func (h *heldSync) sync() error {
	h.begun <- struct{}{}
	return <-h.end
}

func ignoreSync(time.Duration, int) {}

func waiting(g *groupSync, ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- g.wait(ctx) }()
	return done
}

// waitJoined returns when n callers wait for the next sync.
func waitJoined(g *groupSync, n int) {
	for joined := 0; joined < n; {
		g.mu.Lock()
		if g.next != nil {
			joined = g.next.served
		}
		g.mu.Unlock()
	}
}

// Who comes while a sync runs must not be served by it: it may have begun before
// the write. One further sync serves all of them.
func TestGroupSyncServesOnlyWhoCameBefore(t *testing.T) {
	h := newHeldSync()
	var served []int
	g := newGroupSync(h.sync, func(_ time.Duration, n int) { served = append(served, n) }, func(error) {})
	first := waiting(g, t.Context())
	<-h.begun
	late := []<-chan error{waiting(g, t.Context()), waiting(g, t.Context()), waiting(g, t.Context())}
	waitJoined(g, len(late))
	h.end <- nil
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	<-h.begun
	for _, done := range late {
		select {
		case <-done:
			t.Fatal("served by a sync that had begun before it came")
		default:
		}
	}
	h.end <- nil
	for _, done := range late {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if len(served) != 2 || served[0] != 1 || served[1] != 3 {
		t.Errorf("served %v, want [1 3]", served)
	}
}

// After an error nobody is told that anything is durable, and no sync is tried.
func TestGroupSyncErrorIsFinal(t *testing.T) {
	broken, calls, failures := errors.New("disk is broken"), 0, 0
	g := newGroupSync(func() error { calls++; return broken }, ignoreSync, func(error) { failures++ })
	for range 3 {
		if err := g.wait(t.Context()); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
	if calls != 1 || failures != 1 || !errors.Is(g.failed(), broken) {
		t.Errorf("%d syncs, %d failures, %v", calls, failures, g.failed())
	}
}

// A disk that hangs is told, and holds nobody beyond the time it has.
func TestGroupSyncStall(t *testing.T) {
	h := newHeldSync()
	g := newGroupSync(h.sync, ignoreSync, func(error) {})
	ctx, cancel := context.WithCancel(t.Context())
	leader := waiting(g, ctx)
	<-h.begun
	if err := g.failed(); err != nil {
		t.Errorf("just begun: %v", err)
	}
	g.mu.Lock()
	g.began = g.began.Add(-2 * syncStall)
	g.mu.Unlock()
	if err := g.failed(); err == nil || !strings.HasPrefix(err.Error(), "the disk does not answer") {
		t.Errorf("got %v", err)
	}
	cancel()
	if err := <-leader; !errors.Is(err, context.Canceled) {
		t.Errorf("the leader: %v", err)
	}
	h.end <- nil
}

// Who gives up does not hold up the others.
func TestGroupSyncTimeout(t *testing.T) {
	h := newHeldSync()
	g := newGroupSync(h.sync, ignoreSync, func(error) {})
	first := waiting(g, t.Context())
	<-h.begun
	ctx, cancel := context.WithCancel(t.Context())
	second := waiting(g, ctx)
	waitJoined(g, 1)
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	h.end <- nil
	if err := <-first; err != nil {
		t.Error(err)
	}
	third := waiting(g, t.Context())
	<-h.begun
	h.end <- nil
	if err := <-third; err != nil {
		t.Error(err)
	}
}

// TestGroupSyncPromise hammers it: nobody returns before a sync that began after
// the call has ended.
func TestGroupSyncPromise(t *testing.T) {
	var written, durable atomic.Int64
	g := newGroupSync(func() error {
		covers := written.Load()
		durable.Store(covers)
		return nil
	}, ignoreSync, func(error) {})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				mine := written.Add(1)
				if err := g.wait(t.Context()); err != nil || durable.Load() < mine {
					t.Errorf("durable up to %d, promised %d: %v", durable.Load(), mine, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
