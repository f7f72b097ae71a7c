//go:build linux

package main

import (
	"math/rand/v2"
	"time"
)

// pace says when the requests of a turn are due, from its start; nil is a closed
// loop: each connection sends when it has its answer.
type pace struct {
	due []time.Duration
	// drop skips what could not be sent within the window. Without it the backlog of
	// an overload would be sent after the window.
	drop bool
}

// newPace returns arrivals as independent senders make them (a Poisson process) at a
// rate per second, for the window. The same seed gives the same arrivals.
func newPace(rate float64, window time.Duration, seed uint64) *pace {
	random := rand.New(rand.NewPCG(seed, 1))
	p := &pace{}
	for at := random.ExpFloat64() / rate; at < window.Seconds(); at += random.ExpFloat64() / rate {
		p.due = append(p.due, time.Duration(at*float64(time.Second)))
	}
	return p
}
