package powercut

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestMain(m *testing.M) {
	Serve()
	os.Exit(m.Run())
}

// TestMediumHoldsWhatWasWritten compares a medium with plain memory under writes
// of any length and place, and flushes.
func TestMediumHoldsWhatWasWritten(t *testing.T) {
	const size = 8 * pageSize
	random := rand.New(rand.NewPCG(1, 2))
	want, m := make([]byte, size), newMedium()
	for step := range 2000 {
		from := random.IntN(size)
		data := bytes.Repeat([]byte{byte(step)}, 1+random.IntN(size-from))
		copy(want[from:], data)
		m.write(data, int64(from))
		if random.IntN(10) == 0 {
			m.flush()
		}
		got := make([]byte, 1+random.IntN(size-from))
		m.read(got, int64(from))
		if !bytes.Equal(got, want[from:from+len(got)]) {
			t.Fatalf("step %d: what was read from %d is not what was written", step, from)
		}
	}
}

// first returns the first byte of each of the first n pages.
func first(m *medium, n int) string {
	text := make([]byte, n)
	for i := range text {
		m.read(text[i:i+1], int64(i*pageSize))
		if text[i] == 0 {
			text[i] = '.'
		}
	}
	return string(text)
}

func TestCutDropsWhatWasNotFlushed(t *testing.T) {
	m := newMedium()
	m.write([]byte("a"), 0)
	m.write([]byte("b"), pageSize)
	m.flush()
	m.write([]byte("A"), 0)
	m.write([]byte("C"), 2*pageSize)
	for _, test := range []struct {
		keep float64
		want string
	}{{0, "ab."}, {1, "AbC"}} {
		if got := first(m.cut(test.keep), 3); got != test.want {
			t.Errorf("with %v kept: %s, want %s", test.keep, got, test.want)
		}
	}
	left := m.cut(0)
	left.write([]byte("x"), 0)
	left.flush()
	if got := first(m, 3); got != "AbC" {
		t.Errorf("a write to what a cut left changed the disk itself: %s", got)
	}
}

// TestCutTakesAnyVersion: a disk may have written a page at any time since the
// last flush, and each page for itself.
func TestCutTakesAnyVersion(t *testing.T) {
	m := newMedium()
	m.write([]byte("a"), 0)
	m.flush()
	m.write([]byte("b"), 0)
	m.write([]byte("c"), 0)
	m.write([]byte("x"), pageSize)
	seen := map[string]int{}
	for range 1000 {
		seen[first(m.cut(0.5), 2)]++
	}
	for _, want := range []string{"a.", "b.", "c.", "ax", "bx", "cx"} {
		if seen[want] == 0 {
			t.Errorf("%s was never left: %v", want, seen)
		}
	}
	if len(seen) != 6 {
		t.Errorf("left was %v", seen)
	}
}

// TestFlushUnderWayKeepsNothing: only a flush that has ended is one, and it is
// about what was written before it began.
func TestFlushUnderWayKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMedium()
		m.slowDown(2 * time.Second)
		m.write([]byte("a"), 0)
		go m.flush()
		synctest.Wait()
		m.write([]byte("b"), pageSize)
		if got := first(m, 2); got != "ab" {
			t.Errorf("during the flush the disk reads %s", got)
		}
		if got := first(m.cut(0), 2); got != ".." {
			t.Errorf("a cut during the flush left %s", got)
		}
		if got := first(m.cut(1), 2); got != "ab" {
			t.Errorf("a cut that loses nothing left %s", got)
		}
		time.Sleep(3 * time.Second) // of the bubble's clock: the flush has ended
		if got := first(m.cut(0), 2); got != "a." || m.flushCount() != 1 {
			t.Errorf("a cut after %d flushes left %s", m.flushCount(), got)
		}
	})
}
