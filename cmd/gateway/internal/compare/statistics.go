//go:build linux

package main

import "slices"

// quantile returns the value below which the part q of the sorted values lies,
// interpolated between neighbours; 0 without values.
func quantile[T float64 | int64](sorted []T, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return float64(sorted[low]) + (at-float64(low))*float64(sorted[high]-sorted[low])
}

// spread is how values lie: the box and the whiskers of a box plot.
type spread struct{ low, q1, median, q3, high float64 }

// spreadOf leaves the values as they are. Low and high are the quantiles 5 % and 95 %.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{
		quantile(sorted, 0.05), quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75), quantile(sorted, 0.95),
	}
}

// ratios divides the values of each round by the reference of the same round. Rounds
// without a reference are left out.
func ratios(values, reference []float64) []float64 {
	var quotients []float64
	for i := range min(len(values), len(reference)) {
		if reference[i] > 0 {
			quotients = append(quotients, values[i]/reference[i])
		}
	}
	return quotients
}

// order returns the order in which n seats take their turns in a round. It rotates,
// so that no seat is always the first, and every other round runs backwards, so that
// no seat always follows the same one.
func order(round, n int) []int {
	seats := make([]int, n)
	for i := range seats {
		seats[i] = (i + round/2) % n
	}
	if round%2 == 1 {
		slices.Reverse(seats)
	}
	return seats
}

// percentiles returns the quantiles 50 % and 99 % of durations, in milliseconds. It
// sorts them.
func percentiles(took []int64) (p50, p99 float64) {
	slices.Sort(took)
	return quantile(took, 0.5) / 1e6, quantile(took, 0.99) / 1e6
}
