package publish

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errSilence = errors.New("no answer")

// breakerTest is a breaker and what it has reported.
type breakerTest struct {
	*breaker
	t    *testing.T
	told []error
}

func newBreakerTest(t *testing.T) *breakerTest {
	o := &breakerTest{t: t}
	o.breaker = newBreaker(time.Second, func(cause error) { o.told = append(o.told, cause) })
	return o
}

// begin waits for as long as a delivery does until the store counts as away.
func (o *breakerTest) begin() {
	o.t.Helper()
	start := time.Now()
	time.Sleep(time.Second)
	o.failed(start, errSilence)
	if !o.open() {
		o.t.Fatal("not known after a second without an answer")
	}
}

// admitted tells whether the next delivery is let through, which then ends at once.
func (o *breakerTest) admitted() bool {
	_, leave, err := o.allow(context.Background())
	if err == nil {
		leave()
	}
	return err == nil
}

func TestBreakerBegins(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(o *breaker) (start time.Time) // until an attempt has failed
		want   bool
	}{
		{"a second without an answer", func(*breaker) time.Time {
			start := time.Now()
			time.Sleep(time.Second)
			return start
		}, true},
		{"less than a second", func(*breaker) time.Time {
			start := time.Now()
			time.Sleep(time.Second - 1)
			return start
		}, false},
		{"somebody else was answered meanwhile", func(o *breaker) time.Time {
			start := time.Now()
			time.Sleep(time.Second / 2)
			o.succeeded()
			time.Sleep(time.Second / 2)
			return start
		}, false},
		{"a quiet hour is no outage", func(o *breaker) time.Time {
			o.succeeded()
			time.Sleep(time.Hour)
			return time.Now()
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newBreakerTest(t)
				o.failed(test.before(o.breaker), errSilence)
				if o.open() != test.want || !test.want && !o.admitted() {
					t.Errorf("known: %v, want %v", o.open(), test.want)
				}
				if test.want && (len(o.told) != 1 || o.told[0] != errSilence) {
					t.Errorf("told %v", o.told)
				}
			})
		})
	}
}

func TestBreakerAdmitsOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBreakerTest(t)
		o.begin()
		for range 10 {
			ctx, leave, err := o.allow(context.Background())
			if err != nil {
				t.Fatalf("no probe: %v", err)
			}
			for range 3 {
				_, _, err := o.allow(context.Background())
				if want := "no event has been acknowledged for "; err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, errSilence) {
					t.Errorf("a second one: %v, want %s…: %v", err, want, errSilence)
				}
			}
			begin := time.Now()
			<-ctx.Done()
			if took := time.Since(begin); took != time.Second/2 || !errors.Is(context.Cause(ctx), errProbe) {
				t.Errorf("a probe ends after %s: %v", took, context.Cause(ctx))
			}
			leave()
		}
		if len(o.told) != 1 {
			t.Errorf("told %v", o.told)
		}
	})
}

func TestBreakerEndsWithAnAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBreakerTest(t)
		o.begin()
		ctx, leave, err := o.allow(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		time.Sleep(time.Second / 4)
		o.succeeded()
		if first, second := o.admitted(), o.admitted(); o.open() || o.tripped() || o.err() != nil || !first || !second {
			t.Error("not over with an acknowledgement")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Errorf("the probe has its whole time when the store answers: %v", context.Cause(ctx))
		}
		if len(o.told) != 2 || o.told[1] != nil {
			t.Errorf("told %v", o.told)
		}
	})
}

func TestBreakerIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBreakerTest(t)
		o.begin()
		o.reset() // has no effect on what is known
		if !o.open() {
			t.Error("forgotten at once")
		}
		time.Sleep(openTime)
		if first, second := o.admitted(), o.admitted(); !first || !second {
			t.Error("after a quiet time not everybody is let through")
		}
		if !o.tripped() || o.age() < openTime {
			t.Errorf("nobody was answered: unsettled %v for %s", o.tripped(), o.age())
		}
		o.reset()
		if o.tripped() {
			t.Error("still unsettled")
		}
	})
}

// TestErrorsThatNobodyReads: the gateway ends although nobody reads Err.
func TestErrorsThatNobodyReads(t *testing.T) {
	p := &Publisher{fatal: make(chan error, 1)}
	for range 3 {
		p.fail(errSilence)
	}
	if err := <-p.Err(); !errors.Is(err, errSilence) {
		t.Error(err)
	}
}
