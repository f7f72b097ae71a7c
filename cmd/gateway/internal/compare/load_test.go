//go:build linux

package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// newTestLoad delivers to a real server.
func newTestLoad(t *testing.T, connections int, handler http.HandlerFunc) *load {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	l, err := newLoad(netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "http://")), newDeliveries(1, 1), connections)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func count(outcomes []outcome, one outcome) (n int) {
	for _, o := range outcomes {
		if o == one {
			n++
		}
	}
	return n
}

// TestLoad: what is counted is what the server has answered, whether it keeps
// connections or not, and in however many pieces the answers come.
func TestLoad(t *testing.T) {
	var requests, served, refusedByServer atomic.Int64
	l := newTestLoad(t, 8, func(w http.ResponseWriter, _ *http.Request) {
		switch requests.Add(1) % 4 {
		case 0:
			refusedByServer.Add(1)
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			served.Add(1)
			w.Header().Set("Connection", "close")
		case 2:
			served.Add(1)
			w.Header().Set("Content-Length", "6")
			_, _ = w.Write([]byte("abc"))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte("def"))
		default:
			served.Add(1)
		}
	})
	for _, p := range []*pace{nil, newPace(2000, 50*ms, 1)} {
		requests.Store(0)
		served.Store(0)
		refusedByServer.Store(0)
		before := len(l.outcomes)
		got, err := l.run(50*ms, p)
		if err != nil {
			t.Fatal(err)
		}
		if int64(got.stored) != served.Load() || int64(got.refused) != refusedByServer.Load() || got.lost > 0 || got.unsent > 0 || got.stored == 0 {
			t.Errorf("got %+v, and the server has answered %d and refused %d", got, served.Load(), refusedByServer.Load())
		}
		outcomes := l.outcomes[before:]
		if n := count(outcomes, stored); n != got.stored || len(outcomes) != got.stored+got.refused {
			t.Errorf("%d outcomes, %d of them stored: %+v", len(outcomes), n, got)
		}
		if len(got.took) != got.stored || len(got.refusedTook) != got.refused || slices.Min(got.took) <= 0 {
			t.Errorf("%d and %d latencies: %+v", len(got.took), len(got.refusedTook), got)
		}
	}
}

// TestLostConnection: a delivery without an answer is neither stored nor refused.
func TestLostConnection(t *testing.T) {
	var first atomic.Bool
	l := newTestLoad(t, 2, func(http.ResponseWriter, *http.Request) {
		if first.CompareAndSwap(false, true) {
			panic(http.ErrAbortHandler)
		}
	})
	got, err := l.run(20*ms, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.lost != 1 || count(l.outcomes, unanswered) != 1 || got.stored == 0 {
		t.Errorf("got %+v with %d unanswered, want one lost", got, count(l.outcomes, unanswered))
	}
}

// TestCPUTime compares the clock with what the kernel says in another way.
func TestCPUTime(t *testing.T) {
	rusage := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := rusage()
	got, err := cpuTime(syscall.Getpid())
	after := rusage()
	// The kernel adds what other threads are using to the second number at each tick only.
	if err != nil || got < before-20*ms || got > after+20*ms {
		t.Errorf("got %s, %v, want it from %s to %s", got, err, before, after)
	}
}
