package publish

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// trouble is why something in the background does not get on. It is logged, the
// same thing once in a row, and kept for those who ask. It is safe for concurrent
// use.
type trouble struct {
	log          *slog.Logger
	begins, ends string       // what is logged then; an empty end is not logged
	text         atomic.Value // string
}

func newTrouble(log *slog.Logger, begins, ends string) *trouble {
	t := &trouble{log: log, begins: begins, ends: ends}
	t.text.Store("")
	return t
}

func (t *trouble) note(err error) {
	if text := err.Error(); t.text.Swap(text) != text {
		t.log.Warn(t.begins, slog.Any("error", err))
	}
}

func (t *trouble) clear() {
	if t.text.Swap("") != "" && t.ends != "" {
		t.log.Info(t.ends)
	}
}

// String is the last error; empty while there is none.
func (t *trouble) String() string { return t.text.Load().(string) }

// every calls do, at once and then at each interval, until ctx ends. What fails is
// logged under complaint, but while there is no connection: that is logged already.
func (p *Publisher) every(ctx context.Context, interval time.Duration, complaint string, do func(context.Context) error) {
	t := newTrouble(p.log.With(slog.String("stream", p.cfg.Stream)), complaint, "")
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := do(ctx); err == nil {
			t.clear()
		} else if ctx.Err() == nil && p.online.Load() {
			t.note(err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// sleep waits, no longer than ctx lasts.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
