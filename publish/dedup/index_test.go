package dedup

import (
	"fmt"
	"testing"
	"time"
)

var begin = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func newIndex(t *testing.T) *Index {
	x := New(time.Hour)
	t.Cleanup(x.Clear)
	return x
}

func id(n int) Key { return KeyOf(fmt.Sprint("id-", n)) }

// fill adds ids from..to-1, with the sequence of each.
func fill(x *Index, from, to int, at time.Time) {
	for n := from; n < to; n++ {
		x.Add(id(n), uint64(n), at)
	}
}

func TestWindow(t *testing.T) {
	x := newIndex(t)
	fill(x, 1, 2, begin)
	for _, tt := range []struct {
		age   time.Duration
		found bool
	}{{0, true}, {time.Hour, true}, {time.Hour + time.Second, false}, {-time.Hour, true}, {-2 * time.Hour, false}} {
		if sequence, found := x.Find(id(1), begin.Add(tt.age)); found != tt.found || found && sequence != 1 {
			t.Errorf("after %s: %d, %v", tt.age, sequence, found)
		}
	}
	x.Add(id(1), 2, begin.Add(2*time.Hour))
	if sequence, found := x.Find(id(1), begin.Add(2*time.Hour)); !found || sequence != 2 {
		t.Errorf("stored again after the window: %d, %v", sequence, found)
	}
}

func TestExpire(t *testing.T) {
	x := newIndex(t)
	fill(x, 1, 2*chunkLen+1, begin)
	fill(x, 2*chunkLen+1, 2*chunkLen+11, begin.Add(30*time.Minute))
	for _, tt := range []struct {
		age time.Duration
		len int
	}{{time.Hour, 2*chunkLen + 10}, {61 * time.Minute, 10}, {3 * time.Hour, 10}} {
		if x.Expire(begin.Add(tt.age)); x.Len() != tt.len {
			t.Errorf("after %s: %d ids, expected %d", tt.age, x.Len(), tt.len)
		}
	}
	fill(x, 2*chunkLen+11, 3*chunkLen+1, begin.Add(30*time.Minute))
	if x.Expire(begin.Add(3 * time.Hour)); x.Len() != 0 {
		t.Errorf("%d ids after the window of all", x.Len())
	}
	fill(x, 1, 3, begin)
	if sequence, found := x.Find(id(2), begin); !found || sequence != 2 {
		t.Errorf("an id after the first ones expired: %d, %v", sequence, found)
	}
}

// TestComplete: acknowledgements come in any order, and some never.
func TestComplete(t *testing.T) {
	x := newIndex(t)
	for _, step := range []struct {
		do   func()
		want uint64
	}{
		{func() { x.Add(id(2), 2, begin) }, 0},
		{func() { x.Add(id(4), 4, begin) }, 0},
		{func() { x.Add(id(1), 1, begin) }, 2},
		{func() { x.Add(id(1), 1, begin) }, 2},
		{func() { x.SetComplete(3) }, 4},
		{func() { x.Add(id(6), 6, begin) }, 4},
		{func() { x.SetComplete(8) }, 8},
		{func() { x.SetComplete(5) }, 8},
		{func() { x.Add(id(9), 9, begin) }, 9},
	} {
		if step.do(); x.Complete() != step.want {
			t.Fatalf("complete up to %d, expected %d", x.Complete(), step.want)
		}
	}
	if len(x.ahead) != 0 {
		t.Errorf("still kept: %v", x.ahead)
	}
}

func TestClear(t *testing.T) {
	x := newIndex(t)
	fill(x, 1, 4, begin)
	x.Clear()
	if _, found := x.Find(id(1), begin); found || x.Len() != 0 || x.Complete() != 0 {
		t.Error("cleared, and still there")
	}
	fill(x, 1, 2, begin)
	if _, found := x.Find(id(1), begin); !found || x.Complete() != 1 {
		t.Error("not there after it was cleared")
	}
}

func TestNewest(t *testing.T) {
	x := newIndex(t)
	if _, sequence := x.Newest(); sequence != 0 {
		t.Errorf("an empty index has message %d", sequence)
	}
	fill(x, 1, chunkLen+2, begin)
	if k, sequence := x.Newest(); k != id(chunkLen+1) || sequence != chunkLen+1 {
		t.Errorf("got message %d, expected %d with its id", sequence, chunkLen+1)
	}
}
