package analytics

import (
	"context"
	"time"

	"github.com/postback-gateway/gateway/publish/natsconn"
)

const (
	// workTime is how long a scan reads before it asks whether events were stored
	// meanwhile. If so it rests. It reads on several threads, and leaves work for the
	// garbage collector: a fortieth of the time is 4 % of a processor.
	workTime = 5 * time.Millisecond
	restTime = 39 * workTime
	// busyRate is from how many events a second on a scan rests, if there is more than one.
	busyRate = 50
)

// pacer makes a scan rest while events are stored, so that deliveries hardly wait for it.
// It asks the stream, because other processes store events too.
type pacer struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration)
	last  func(context.Context) (sequence uint64, err error) // of the stream's last event

	resumed time.Time // when the scan began to work
	asked   time.Time
	seen    uint64 // the last sequence then
}

func newPacer(link *natsconn.Link, name string) *pacer {
	return &pacer{now: time.Now, sleep: natsconn.Sleep, last: func(ctx context.Context) (uint64, error) {
		s, err := link.JS.Stream(ctx, name)
		if err != nil {
			return 0, err
		}
		return s.CachedInfo().State.LastSeq, nil
	}}
}

// wait is called before every event.
func (p *pacer) wait(ctx context.Context) {
	now := p.now()
	if now.Sub(p.resumed) < workTime {
		return
	}
	if p.isBusy(ctx, now) {
		p.sleep(ctx, restTime)
	}
	p.resumed = p.now()
}

// isBusy reports whether events were stored since it was called last. A server that does
// not respond is busy.
func (p *pacer) isBusy(ctx context.Context, now time.Time) bool {
	last, err := p.last(ctx)
	if err != nil {
		return true
	}
	stored, took := int64(last-p.seen), now.Sub(p.asked)
	isFirst := p.asked.IsZero()
	p.asked, p.seen = now, last
	return !isFirst && stored > 1 && float64(stored) > busyRate*took.Seconds()
}
