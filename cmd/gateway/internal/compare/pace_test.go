//go:build linux

package main

import (
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPace(t *testing.T) {
	const rate, window = 1000, 10 * time.Second
	p := newPace(rate, window, 7)
	if !slices.IsSorted(p.due) || p.due[0] < 0 || p.due[len(p.due)-1] >= window {
		t.Errorf("due from %s to %s, want them in order within %s", p.due[0], p.due[len(p.due)-1], window)
	}
	// The number is Poisson: its deviation is the root of its mean.
	if n, want := float64(len(p.due)), rate*window.Seconds(); math.Abs(n-want) > 5*math.Sqrt(want) {
		t.Errorf("%.0f arrivals, want about %.0f", n, want)
	}
	if again := newPace(rate, window, 7); !slices.Equal(p.due, again.due) {
		t.Error("another seat would get other arrivals in the same round")
	}
	if other := newPace(rate, window, 8); slices.Equal(p.due, other.due) {
		t.Error("every round has the same arrivals")
	}
}

// newTestTurn is a turn on sockets that nobody answers on; the test says what time it is.
func newTestTurn(t *testing.T, connections int, p *pace) *turn {
	t.Helper()
	l := &load{deliveries: newDeliveries(1, 1)}
	for i := range connections {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(os.NewSyscallError("socketpair", err))
		}
		t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
		l.connections = append(l.connections, connection{fd: pair[0]})
		l.idle = append(l.idle, i)
	}
	start := time.Unix(1000, 0)
	return &turn{load: l, pace: p, start: start, end: start.Add(time.Second)}
}

const ms = time.Millisecond

// TestOpenLoop: a delivery that was due while every connection was busy has waited
// since then.
func TestOpenLoop(t *testing.T) {
	turn := newTestTurn(t, 1, &pace{due: []time.Duration{10 * ms, 20 * ms, 900 * ms}})
	send := func(at time.Duration, wantSent int, wantNext time.Duration) {
		t.Helper()
		next, err := turn.send(turn.start.Add(at))
		if err != nil || turn.sent != wantSent || next != wantNext {
			t.Errorf("at %s: %d sent, %s until the next, %v; want %d and %s", at, turn.sent, next, err, wantSent, wantNext)
		}
	}
	answer200 := func(at time.Duration) {
		turn.count(&turn.connections[0], answer{status: 200}, turn.start.Add(at))
		turn.release(0)
	}
	send(0, 0, 10*ms)
	send(12*ms, 1, -1) // late by 2 ms
	send(30*ms, 1, -1) // no connection
	answer200(50 * ms)
	send(50*ms, 2, -1)
	answer200(60 * ms)
	send(60*ms, 2, 840*ms)
	send(1100*ms, 3, -1) // after the window, and not left out
	answer200(1200 * ms)
	if want := []int64{int64(40 * ms), int64(40 * ms), int64(300 * ms)}; !slices.Equal(turn.tally.took, want) {
		t.Errorf("took %v, want %v from when each was due", turn.tally.took, want)
	}
	if turn.tally.inTime != 2 || turn.tally.stored != 3 {
		t.Errorf("%d in time and %d in all, want 2 and 3", turn.tally.inTime, turn.tally.stored)
	}
}

// TestOverload: what could not be sent within the window is left out.
func TestOverload(t *testing.T) {
	turn := newTestTurn(t, 1, &pace{due: []time.Duration{1 * ms, 2 * ms}, drop: true})
	if _, err := turn.send(turn.start.Add(5 * ms)); err != nil || turn.sent != 1 {
		t.Fatalf("%d sent, %v, want 1", turn.sent, err)
	}
	turn.release(0)
	if next, err := turn.send(turn.end.Add(ms)); err != nil || turn.sent != 1 || next >= 0 {
		t.Errorf("after the window: %d sent, %s, %v, want none", turn.sent, next, err)
	}
}

// TestClosedLoop: every idle connection sends at once, and none after the window.
func TestClosedLoop(t *testing.T) {
	turn := newTestTurn(t, 3, nil)
	if _, err := turn.send(turn.start); err != nil || turn.sent != 3 {
		t.Fatalf("%d sent, %v, want 3", turn.sent, err)
	}
	turn.release(1)
	if _, err := turn.send(turn.start.Add(5 * ms)); err != nil || turn.sent != 4 || turn.connections[1].number != 3 {
		t.Errorf("%d sent, the last as number %d, %v, want 4 and number 3", turn.sent, turn.connections[1].number, err)
	}
	turn.release(0)
	if next, err := turn.send(turn.end); err != nil || turn.sent != 4 || next >= 0 {
		t.Errorf("after the window: %d sent, %s, %v, want no more", turn.sent, next, err)
	}
}
