package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// retention keeps the events' stream from filling up: it purges the oldest events
// that every durable consumer has acknowledged, when the stream comes near its
// byte bound, and, where a relay makes the age a matter of acknowledgement too,
// when they are old enough. What a consumer still waits for is never purged, and
// nothing is where there is no durable consumer: then nobody has said that an
// event has been dealt with. A stream that is full of such events refuses.
type retention struct {
	p      *Publisher
	holder atomic.Value // string: what keeps the oldest event in the stream

	turn  chan struct{} // held while one looks and purges: a lock that is waited for no longer than a context lasts
	tried time.Time     // when there was last no room to make
	made  time.Time     // when room was made last
}

// Purging begins above highWater of the byte bound and goes down to lowWater.
// Deliveries are refused at the bound itself; the gap is for what comes while
// the purge runs.
const (
	highWater = 0.9
	lowWater  = 0.8
)

const (
	retentionInterval = time.Second
	ageInterval       = time.Minute
	// fullInterval is how often deliveries that are refused have it looked at again.
	fullInterval = 100 * time.Millisecond
)

func newRetention(p *Publisher) *retention {
	r := &retention{p: p, turn: make(chan struct{}, 1)}
	r.holder.Store("")
	return r
}

// run looks after the stream until ctx ends.
func (r *retention) run(ctx context.Context) {
	sleep(ctx, retentionInterval) // a relay makes its consumer meanwhile
	aged := time.Time{}
	r.p.every(ctx, retentionInterval, "acknowledged events cannot be purged", func(ctx context.Context) error {
		_, err := r.makeRoom(ctx, false)
		if err == nil && r.p.cfg.Relayed && time.Since(aged) > ageInterval {
			aged = time.Now()
			err = r.dropOld(ctx)
		}
		return err
	})
}

// makeRoom purges what can go from a stream near its bound, and tells whether
// there is room now. refused says that the stream has refused an event, which may be
// so large that it does not fit although the bound is not near.
func (r *retention) makeRoom(ctx context.Context, refused bool) (bool, error) {
	if err := r.lock(ctx); err != nil {
		return false, err
	}
	defer r.unlock()
	switch {
	case time.Since(r.tried) < fullInterval:
		return false, nil
	case refused && time.Since(r.made) < fullInterval:
		return true, nil // what was refused may have come before that
	}
	s, err := r.p.look(ctx)
	if err != nil {
		return false, err
	}
	end := s.excess(refused)
	if end == 0 {
		return true, nil
	}
	room, err := r.purge(ctx, s, end)
	if room {
		r.made = time.Now()
	} else {
		r.tried = time.Now()
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

// purge drops the events below sequence end, as far as they are acknowledged, and
// tells whether that was any.
func (r *retention) purge(ctx context.Context, s *kept, end uint64) (bool, error) {
	wants, err := r.p.wants(ctx, s)
	if err != nil {
		r.holder.Store(err.Error())
		return false, err
	}
	oldest := s.firstWanted(wants)
	r.holder.Store(oldest.String())
	if end = min(end, oldest.first); end <= s.state.FirstSeq {
		return false, nil
	}
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSequence(end)); err != nil {
		return false, err
	}
	if r.p.group != nil {
		// The server may have written the rest of a block into a new file and put it
		// in the place of the old one, without a sync: what was durable should not
		// wait for the next delivery to be so again.
		if err := r.p.group.wait(ctx); err != nil {
			return true, err
		}
	}
	r.p.log.Info("purged events that every durable consumer has acknowledged",
		slog.String("stream", r.p.cfg.Stream), slog.Uint64("first", s.state.FirstSeq), slog.Uint64("last", end-1))
	return true, nil
}

// dropOld purges what is older than MaxAge.
func (r *retention) dropOld(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	s, err := r.p.look(ctx)
	if err != nil {
		return err
	}
	end, err := s.olderThan(ctx, r.p.cfg.MaxAge)
	if err == nil {
		_, err = r.purge(ctx, s, end)
	}
	return err
}

// heldBy tells what keeps a stream full.
func (r *retention) heldBy() string {
	return cmp.Or(r.holder.Load().(string), "its events have just come")
}

// look asks how the events' stream is now.
func (p *Publisher) look(ctx context.Context) (*kept, error) {
	l, err := p.connected()
	if err != nil {
		return nil, err
	}
	s, err := l.js.Stream(ctx, p.cfg.Stream)
	if err != nil {
		return nil, err
	}
	info := s.CachedInfo()
	return &kept{s, &info.Config, &info.State}, nil
}

// wants lists what holds events in the stream: each durable consumer that is there,
// those that have vanished, and the relay. That one is known by name: while its
// consumer is missing nothing has been moved, for all that anybody knows.
func (p *Publisher) wants(ctx context.Context, s *kept) ([]want, error) {
	connection := p.connections.Load()
	all, err := s.wants(ctx)
	if err != nil {
		return nil, err
	}
	isRelay := func(w want) bool { return w.consumer == RelayConsumer }
	missing := p.cfg.Relayed && !slices.ContainsFunc(all, isRelay)
	all = append(all, p.roster.vanished(all, connection)...)
	if missing {
		all = append(slices.DeleteFunc(all, isRelay), want{consumer: RelayConsumer, events: s.state.Msgs, first: s.state.FirstSeq})
	}
	return all, nil
}

// kept is a stream at one moment.
type kept struct {
	stream jetstream.Stream
	config *jetstream.StreamConfig
	state  *jetstream.StreamState
}

// excess returns the sequence below which as many events are as have to go to
// come down to lowWater, judged by their mean size; 0 below highWater. Where the
// stream has refused an event it is a fifth of the bound that has to go, in any
// case. A stream that does not refuse at its bound drops by itself.
func (s *kept) excess(refused bool) uint64 {
	bound, held := float64(s.config.MaxBytes), float64(s.state.Bytes)
	refuses := s.config.MaxBytes > 0 && s.config.Discard == jetstream.DiscardNew && s.config.Retention == jetstream.LimitsPolicy
	if !refuses || held == 0 || held < highWater*bound && !refused {
		return 0
	}
	share := (held - lowWater*bound) / held
	if refused {
		share = min(1, max(share, (1-lowWater)*bound/held))
	}
	return s.state.FirstSeq + max(1, uint64(share*float64(s.state.Msgs)))
}

// olderThan returns the sequence of the first event that is younger than age.
func (s *kept) olderThan(ctx context.Context, age time.Duration) (uint64, error) {
	if age <= 0 || s.state.Msgs == 0 || time.Since(s.state.FirstTime) < age {
		return 0, nil
	}
	var failed error
	n := sort.Search(int(s.state.LastSeq-s.state.FirstSeq)+1, func(i int) bool {
		m, err := s.next(ctx, s.state.FirstSeq+uint64(i), ">")
		failed = cmp.Or(failed, err)
		return m == nil || time.Since(m.Time) < age
	})
	return s.state.FirstSeq + uint64(n), failed
}

// next returns the first message from a sequence on that a filter matches; nil
// where there is none.
func (s *kept) next(ctx context.Context, sequence uint64, filter string) (*jetstream.RawStreamMsg, error) {
	m, err := s.stream.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject(filter))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	return m, err
}

// want is what a durable consumer has still to acknowledge.
type want struct {
	consumer string
	events   uint64
	first    uint64    // sequence of the first of them; behind the stream's last where there is none
	since    time.Time // when that one was stored; zero where there is none
}

// wants lists what each durable consumer has still to acknowledge. A consumer that
// cannot be asked, because the server that holds it is away, is missing from the
// list: then nobody knows what it wants, and that is an error.
func (s *kept) wants(ctx context.Context) ([]want, error) {
	var all []want
	listed := 0
	consumers := s.stream.ListConsumers(ctx)
	for c := range consumers.Info() {
		listed++
		if c.Config.Durable == "" {
			continue
		}
		w, err := s.wantedBy(ctx, c)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	if err := consumers.Err(); err != nil || listed < s.state.Consumers {
		return nil, fmt.Errorf("%d of %d consumers of stream %s answer (%w): see that the servers that hold them run",
			listed, s.state.Consumers, s.config.Name, cmp.Or(err, errUnlisted))
	}
	return all, nil
}

var errUnlisted = errors.New("the others are missing from the list")

// String tells an operator who holds events.
func (w want) String() string {
	if w.consumer == "" {
		return "no durable consumer acknowledges events"
	}
	return fmt.Sprintf("consumer %s has %d events to acknowledge", w.consumer, w.events)
}

// firstWanted returns the want that begins first. Without a durable consumer it is
// nobody's, and begins with the first event.
func (s *kept) firstWanted(wants []want) want {
	if len(wants) == 0 {
		return want{first: s.state.FirstSeq}
	}
	return slices.MinFunc(wants, func(a, b want) int { return cmp.Compare(a.first, b.first) })
}

// wantedBy asks for the messages that a consumer's filters let through: one that
// asks for little has its acknowledgements end far behind. A replica that lags
// may know of none; then they end where the consumer says.
//
// The server counts a message as pending a little later than it acknowledges it, so
// a count of none says nothing of what has come behind the last delivery. Up to
// there it does: what was delivered as often as the consumer allows is not counted,
// and stands behind the acknowledgements.
func (s *kept) wantedBy(ctx context.Context, c *jetstream.ConsumerInfo) (want, error) {
	w := want{consumer: c.Name, events: c.NumPending + uint64(c.NumAckPending)}
	floor := c.AckFloor.Stream + 1
	none := s.state.LastSeq + 1 // where nothing is wanted
	if w.events == 0 {
		floor = max(floor, c.Delivered.Stream+1)
	} else {
		none = floor
	}
	if w.first = none; floor > s.state.LastSeq {
		return w, nil
	}
	w.first = math.MaxUint64
	for _, filter := range filters(&c.Config) {
		m, err := s.next(ctx, floor, filter)
		if err != nil {
			return w, err
		}
		if m != nil && m.Sequence < w.first {
			w.first, w.since, w.events = m.Sequence, m.Time, max(w.events, 1)
		}
	}
	if w.first == math.MaxUint64 {
		w.first = none
	}
	return w, nil
}

// filters are the subjects that a consumer asks for.
func filters(c *jetstream.ConsumerConfig) []string {
	switch {
	case len(c.FilterSubjects) > 0:
		return c.FilterSubjects
	case c.FilterSubject != "":
		return []string{c.FilterSubject}
	default:
		return []string{">"}
	}
}
