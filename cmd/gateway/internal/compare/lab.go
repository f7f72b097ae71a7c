//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lab holds what all comparisons need.
type lab struct {
	self    string // path of this program, which is also the bare handler and the NATS server
	dir     string // for the stores
	fastify string // directory of the Fastify service; empty where it was not installed
	builds  builds
	rounds  int
	turn    time.Duration
}

// player is a seat with its running service and its load.
type player struct {
	seat
	service *service
	load    *load
	before  []batch // what was stored before
	result  *result
}

// result holds the figures of a seat. The slices have one value for each round.
type result struct {
	seat     seat
	rates    []float64 // events a second, answered 200 within the window
	cpu      []float64 // µs for each event, of the process
	server   []float64 // the same, of the separate NATS server
	load     []float64 // the same, of what made the load
	p99s     []float64 // ms
	p50, p99 float64   // ms, over all rounds

	mallocs, kb float64 // for each event
	peak        float64 // MB

	events                float64       // answered 200, over all rounds
	refused, lost, unsent float64       // deliveries, over all rounds
	window, used          time.Duration // over all rounds: of the turns, and of the CPU
	refusedP99            float64       // ms

	took, refusedTook []int64
}

// compare runs the seats side by side, turn by turn.
func (l *lab) compare(ctx context.Context, seats []seat, turn time.Duration, rounds int) ([]*result, error) {
	dir, err := os.MkdirTemp(l.dir, "compare-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	disk, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	var players []*player
	defer func() { leave(players) }()
	for i, s := range seats {
		p, err := l.seat(ctx, s, filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		players = append(players, p)
	}
	if err := play(ctx, players, &match{turn: turn, rounds: rounds, disk: int(disk.Fd())}); err != nil {
		return nil, err
	}
	var results []*result
	for _, p := range players {
		if err := p.service.readBack(ctx, append(p.before, p.load.batch())...); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		p.result.peak = p.service.process.peak()
		results = append(results, p.result)
	}
	return results, nil
}

// seat starts the contestant of a seat and connects its load.
func (l *lab) seat(ctx context.Context, s seat, dir string) (*player, error) {
	service, err := s.start(ctx, l, dir)
	if err != nil {
		return nil, err
	}
	p := &player{seat: s, service: service, result: &result{seat: s}}
	if err := p.prepare(); err != nil {
		p.leave()
		return nil, err
	}
	return p, nil
}

// leave returns when all services have stopped.
func leave(players []*player) {
	var wg sync.WaitGroup
	for _, p := range players {
		wg.Go(p.leave)
	}
	wg.Wait()
}

func (p *player) leave() {
	if p.load != nil {
		p.load.close()
	}
	p.service.stop()
}

// fillBatch is the number of events in each delivery that is stored in advance.
const fillBatch = 100

// serverWindow is a little longer than the embedded server remembers ids.
const serverWindow = 130 * time.Second

// prepare stores the events that the shape asks for in advance, and connects the load.
func (p *player) prepare() (err error) {
	deliveries := newDeliveries(max(1, p.shape.events), p.shape.subjects)
	if p.shape.stored > 0 {
		fill, err := newLoad(p.service.webhook, newDeliveries(fillBatch, p.shape.subjects), 16)
		if err != nil {
			return err
		}
		defer fill.close()
		for done := 0; done < p.shape.stored; {
			t, err := fill.run(100*time.Millisecond, nil)
			if err != nil {
				return err
			}
			if t.stored == 0 {
				return errors.New("nothing is stored in advance")
			}
			done += t.stored * fillBatch
		}
		if p.shape.old {
			time.Sleep(serverWindow)
		}
		p.before = append(p.before, fill.batch())
		deliveries.first = len(fill.outcomes) * fillBatch
	}
	p.load, err = newLoad(p.service.webhook, deliveries, p.shape.connections)
	return err
}

// match says how many turns there are, and how long they are.
type match struct {
	turn   time.Duration
	rounds int
	disk   int     // descriptor on the filesystem of the stores
	most   float64 // deliveries a second of the first player in its warm-up
}

// play warms the players up and gives each its turn in every round.
func play(ctx context.Context, players []*player, m *match) error {
	for i, p := range players {
		if err := p.warmUp(m, i == 0); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	before := make([]memory, len(players))
	for i, p := range players {
		var err error
		if before[i], err = p.service.memory(ctx); err != nil {
			return err
		}
	}
	for round := range m.rounds {
		for _, i := range order(round, len(players)) {
			if err := errors.Join(ctx.Err(), players[i].takeTurn(m, uint64(round))); err != nil {
				return fmt.Errorf("%s: %w", players[i].name, err)
			}
		}
	}
	for i, p := range players {
		after, err := p.service.memory(ctx)
		if err != nil {
			return err
		}
		p.result.finish(before[i], after)
	}
	return nil
}

// warmUp runs a turn that does not count. That of the first player sets the rate of
// which overloaded players get a multiple.
func (p *player) warmUp(m *match, first bool) error {
	t, err := p.load.run(m.turn, p.pace(m, 0))
	if err == nil && first && p.shape.rate == 0 {
		// The very first turn is a slow one.
		t, err = p.load.run(m.turn, nil)
		m.most = float64(t.inTime) / t.window.Seconds()
	}
	return err
}

func (p *player) pace(m *match, seed uint64) *pace {
	switch {
	case p.shape.times > 0:
		pace := newPace(m.most*p.shape.times, m.turn, seed)
		pace.drop = true
		return pace
	case p.shape.rate > 0:
		return newPace(p.shape.rate, m.turn, seed)
	default:
		return nil
	}
}

func (p *player) takeTurn(m *match, seed uint64) error {
	// Flush what the previous player has written: this one must not wait for it.
	if err := unix.Syncfs(m.disk); err != nil {
		return os.NewSyscallError("syncfs", err)
	}
	before, err := p.service.usage()
	if err != nil {
		return err
	}
	t, err := p.load.run(m.turn, p.pace(m, seed))
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.service.process.out.String())
	}
	after, err := p.service.usage()
	if err != nil {
		return err
	}
	if t.stored == 0 || (t.refused > 0 || t.lost > 0) && !p.mayRefuse() {
		return fmt.Errorf("%d deliveries were answered 200, %d something else, %d nothing\n%s", t.stored, t.refused, t.lost, p.service.process.out.String())
	}
	p.result.add(&t, after.minus(before))
	return nil
}

// mayRefuse reports whether the load is an overload, of which a contestant may refuse a part.
func (p *player) mayRefuse() bool { return p.shape.times > 0 || p.shape.connections > 256 }

// add records a turn.
func (r *result) add(t *tally, used usage) {
	perDelivery := float64(max(1, r.seat.shape.events))
	events := float64(t.stored) * perDelivery
	_, p99 := percentiles(t.took)
	r.rates = append(r.rates, float64(t.inTime)*perDelivery/t.window.Seconds())
	r.cpu = append(r.cpu, used.process.Seconds()*1e6/events)
	r.server = append(r.server, used.server.Seconds()*1e6/events)
	r.load = append(r.load, used.load.Seconds()*1e6/events)
	r.p99s = append(r.p99s, p99)
	r.took = append(r.took, t.took...)
	r.refusedTook = append(r.refusedTook, t.refusedTook...)
	r.events += events
	r.refused += float64(t.refused)
	r.lost += float64(t.lost)
	r.unsent += float64(t.unsent)
	r.window += t.window
	r.used += used.process
}

// finish computes what needs all turns.
func (r *result) finish(before, after memory) {
	r.mallocs = (after.mallocs - before.mallocs) / r.events
	r.kb = (after.bytes - before.bytes) / r.events / 1e3
	r.p50, r.p99 = percentiles(r.took)
	_, r.refusedP99 = percentiles(r.refusedTook)
}
