package console

import (
	"context"
	"sync"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/publish/natsconn"
)

const (
	// reportInterval is how old the findings are at most while somebody looks.
	reportInterval = 10 * time.Second
	// reportTimeout bounds the requests for one report, reportWait how long a page waits
	// for it: what is not ready has to be shown at once.
	reportTimeout = 5 * time.Second
	reportWait    = 500 * time.Millisecond
)

// reports keeps the last report of the doctor. All pages share it, because it asks the
// store for every consumer and every subject.
type reports struct {
	make func(context.Context) doctor.Report

	mu      sync.Mutex
	last    *doctor.Report
	begun   time.Time
	pending chan struct{} // closed when the report that is being made is ready; nil if there is none
}

// get returns the last report; nil if there is none yet. If it is old, another one is made.
func (r *reports) get(ctx context.Context, console *Console) *doctor.Report {
	r.mu.Lock()
	if r.pending == nil && time.Since(r.begun) > reportInterval {
		ready := make(chan struct{})
		r.pending, r.begun = ready, time.Now()
		console.background.Go(func() { r.refresh(console.ctx, ready) })
	}
	pending := r.pending
	r.mu.Unlock()
	if pending != nil {
		select {
		case <-pending:
		case <-time.After(reportWait):
		case <-ctx.Done():
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *reports) refresh(ctx context.Context, ready chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	report := r.make(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.pending = &report, nil
	close(ready)
}

// Close ends what the console does in the background. The store must not be closed before.
func (c *Console) Close(ctx context.Context) error {
	c.stop()
	if natsconn.Wait(ctx, &c.background) != nil {
		return ctx.Err()
	}
	return nil
}
