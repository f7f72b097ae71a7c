package monitor

import (
	"cmp"
	"context"
	"log/slog"
	"sort"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/stream"
)

// retention keeps a stream that rejects when it is full from filling up. It purges the oldest events that
// every durable consumer has acknowledged when the stream comes near its bound. If a relay
// moves the events it also purges moved ones that are too old. It never purges what a
// consumer still waits for, and nothing without a durable consumer: then nobody has said
// that an event has been processed. A stream that is full of such events rejects.
type retention struct {
	m      *Monitor
	spec   *stream.Spec
	holder atomic.Value // string: what keeps the oldest event in the stream

	turn     chan struct{} // held while events are purged: a lock with a context
	failedAt time.Time     // when there was last nothing to purge
	purgedAt time.Time
	agedAt   time.Time
	starts   time.Time // a relay creates its consumer before that
}

// A purge begins above highWater of the bound and goes down to lowWater. Deliveries are
// rejected at the bound itself; the gap is for what comes while the purge runs.
const (
	highWater = 0.9
	lowWater  = 0.8
)

const (
	retentionInterval = time.Second
	ageInterval       = time.Minute
	// fullInterval is how often rejected deliveries cause another attempt.
	fullInterval = 100 * time.Millisecond
)

func newRetention(m *Monitor, spec *stream.Spec) *retention {
	r := &retention{m: m, spec: spec, turn: make(chan struct{}, 1), starts: time.Now().Add(retentionInterval)}
	r.holder.Store("")
	return r
}

// run purges what is due. It decides by the last snapshot.
func (r *retention) run(ctx context.Context) error {
	last := r.m.snapshot.Load().rejecting()[r.spec]
	if last == nil || time.Now().Before(r.starts) {
		return nil
	}
	if excess(&last.Config, &last.State, false) > 0 {
		if _, err := r.makeRoom(ctx, false); err != nil {
			return err
		}
	}
	if !r.m.cfg.Streams.Relayed || time.Since(r.agedAt) < ageInterval {
		return nil
	}
	r.agedAt = time.Now()
	return r.dropOld(ctx)
}

// makeRoom purges from a stream near its bound and reports whether there is room now.
// rejected says that the stream has rejected an event, which may be so large that it does
// not fit although the bound is not near.
func (r *retention) makeRoom(ctx context.Context, rejected bool) (bool, error) {
	if err := r.lock(ctx); err != nil {
		return false, err
	}
	defer r.unlock()
	switch {
	case time.Since(r.failedAt) < fullInterval:
		return false, nil
	case rejected && time.Since(r.purgedAt) < fullInterval:
		return true, nil // the event may have been rejected before that
	}
	s, err := r.m.openStream(ctx, r.spec)
	if err != nil {
		return false, err
	}
	end := excess(s.config, s.state, rejected)
	if end == 0 {
		return true, nil
	}
	room, err := r.purge(ctx, s, end)
	if room {
		r.purgedAt = time.Now()
	} else {
		r.failedAt = time.Now()
	}
	return room, err
}

func (r *retention) lock(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *retention) unlock() { <-r.turn }

// purge drops the events below sequence end that are acknowledged, and reports whether
// there were any.
func (r *retention) purge(ctx context.Context, s *eventStream, end uint64) (bool, error) {
	consumers, err := r.m.consumers(ctx, s)
	if err != nil {
		r.holder.Store(err.Error())
		return false, err
	}
	slowest := s.slowest(consumers)
	r.holder.Store(slowest.String())
	if end = min(end, slowest.First); end <= s.state.FirstSeq {
		return false, nil
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(end)); err != nil {
		return false, err
	}
	if r.m.cfg.Purged != nil {
		// The server may have replaced a file by one with the rest of its messages, without
		// a sync. What was durable must be so again before the next delivery.
		if err := r.m.cfg.Purged(ctx); err != nil {
			return true, err
		}
	}
	r.m.cfg.Log.Info("purged events that every durable consumer has acknowledged",
		slog.String("stream", s.config.Name), slog.Uint64("first", s.state.FirstSeq), slog.Uint64("last", end-1))
	return true, nil
}

// dropOld purges acknowledged events that are older than the configured age.
func (r *retention) dropOld(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	s, err := r.m.openStream(ctx, r.spec)
	if err != nil {
		return err
	}
	end, err := s.olderThan(ctx, r.m.cfg.Streams.MaxAge)
	if err == nil {
		_, err = r.purge(ctx, s, end)
	}
	return err
}

// heldBy returns what keeps a stream full.
func (r *retention) heldBy() string {
	return cmp.Or(r.holder.Load().(string), "its events have just come")
}

// excess returns the sequence below which as many events are as have to go to come down
// to lowWater, by their mean size; 0 below highWater. If the stream has rejected an event
// a fifth of the bound has to go in any case. A stream that does not reject at its bound
// drops events by itself.
func excess(c *jetstream.StreamConfig, state *jetstream.StreamState, rejected bool) uint64 {
	bound, stored := float64(c.MaxBytes), float64(state.Bytes)
	rejects := c.MaxBytes > 0 && c.Discard == jetstream.DiscardNew && c.Retention == jetstream.LimitsPolicy
	if !rejects || stored == 0 || stored < highWater*bound && !rejected {
		return 0
	}
	share := (stored - lowWater*bound) / stored
	if rejected {
		share = min(1, max(share, (1-lowWater)*bound/stored))
	}
	return state.FirstSeq + max(1, uint64(share*float64(state.Msgs)))
}

// olderThan returns the sequence of the first event that is younger than age.
func (s *eventStream) olderThan(ctx context.Context, age time.Duration) (uint64, error) {
	if age <= 0 || s.state.Msgs == 0 || time.Since(s.state.FirstTime) < age {
		return 0, nil
	}
	var failed error
	n := sort.Search(int(s.state.LastSeq-s.state.FirstSeq)+1, func(i int) bool {
		m, err := s.firstFrom(ctx, s.state.FirstSeq+uint64(i), ">")
		failed = cmp.Or(failed, err)
		return m == nil || time.Since(m.Time) < age
	})
	return s.state.FirstSeq + uint64(n), failed
}
