package monitor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postback-gateway/gateway/publish/natsconn"
)

// tasks are what the sampler calls at intervals.
type tasks struct {
	log        *slog.Logger
	online     func() bool
	background sync.WaitGroup

	mu  sync.Mutex
	all []*task
}

type task struct {
	interval time.Duration
	due      time.Time
	running  atomic.Bool
	failed   *natsconn.LastError
	do       func(context.Context) error
}

// Every has the sampler call do at an interval. An error is logged under text, unless the
// connection is lost, which is logged already. A slow task holds up no other one.
func (ts *tasks) Every(interval time.Duration, text string, do func(context.Context) error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.all = append(ts.all, &task{interval: interval, do: do, failed: natsconn.NewLastError(ts.log, text, "")})
}

// runDue starts the tasks that are due and do not run.
func (ts *tasks) runDue(ctx context.Context) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		if time.Now().Before(t.due) || t.running.Swap(true) {
			continue
		}
		t.due = time.Now().Add(t.interval)
		ts.background.Go(func() {
			defer t.running.Store(false)
			err := t.do(ctx)
			if ctx.Err() == nil {
				ts.note(t.failed, err)
			}
		})
	}
}

func (ts *tasks) note(last *natsconn.LastError, err error) {
	if err == nil {
		last.Clear()
	} else if ts.online() {
		last.Set(err)
	}
}
