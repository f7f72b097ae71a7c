//go:build linux

package main

import (
	"math"
	"slices"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{7}, spread{7, 7, 7, 7, 7}},
		{[]float64{4, 1, 3, 2}, spread{1.15, 1.75, 2.5, 3.25, 3.85}},
		{[]float64{5, 1, 4, 2, 3}, spread{1.2, 2, 3, 4, 4.8}},
	} {
		before := slices.Clone(test.values)
		got := spreadOf(test.values)
		for i, pair := range [][2]float64{
			{got.low, test.want.low}, {got.q1, test.want.q1}, {got.median, test.want.median}, {got.q3, test.want.q3}, {got.high, test.want.high},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-9 {
				t.Errorf("%v: value %d: got %v, want %v", test.values, i, got, test.want)
			}
		}
		if !slices.Equal(test.values, before) {
			t.Errorf("the values were sorted, and rounds are known by their place: %v", test.values)
		}
	}
}

// TestRatios: a machine that is half as fast in a round is so for both.
func TestRatios(t *testing.T) {
	got := ratios([]float64{90, 45, 10, 80}, []float64{100, 50, 0, 100})
	if want := []float64{0.9, 0.9, 0.8}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: the round without a reference left out", got, want)
	}
}

func TestPercentiles(t *testing.T) {
	var took []int64
	for i := range int64(101) {
		took = append(took, (100-i)*1e6)
	}
	if p50, p99 := percentiles(took); p50 != 50 || p99 != 99 {
		t.Errorf("got %v and %v, want 50 and 99 ms", p50, p99)
	}
	if p50, p99 := percentiles(nil); p50 != 0 || p99 != 0 {
		t.Errorf("of nothing: got %v and %v, want zeros", p50, p99)
	}
}

// TestOrder: over 2n rounds every seat has each place equally often, and follows more
// than one other.
func TestOrder(t *testing.T) {
	for n := 2; n <= 5; n++ {
		places, after := map[[2]int]int{}, map[int]map[int]bool{}
		for round := range 2 * n {
			seats := order(round, n)
			for place, seat := range seats {
				places[[2]int{seat, place}]++
				if place > 0 {
					if after[seat] == nil {
						after[seat] = map[int]bool{}
					}
					after[seat][seats[place-1]] = true
				}
			}
		}
		if len(places) != n*n {
			t.Errorf("%d seats: only %d of %d places were taken", n, len(places), n*n)
		}
		for at, times := range places {
			if times != 2 {
				t.Errorf("%d seats: seat %d had place %d %d times, want 2", n, at[0], at[1], times)
			}
		}
		for seat, others := range after {
			if n > 2 && len(others) < 2 {
				t.Errorf("%d seats: seat %d always follows the same one", n, seat)
			}
		}
	}
}
