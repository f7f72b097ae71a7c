package publish

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

var errSilence = errors.New("no answer")

// outageTest is an outage and what it has told.
type outageTest struct {
	*outage
	t    *testing.T
	told []error
}

func newOutageTest(t *testing.T) *outageTest {
	o := &outageTest{t: t}
	o.outage = newOutage(time.Second, func(cause error) { o.told = append(o.told, cause) })
	return o
}

// begin waits for as long as a delivery does until the store counts as away.
func (o *outageTest) begin() {
	o.t.Helper()
	start := time.Now()
	time.Sleep(time.Second)
	o.suspect(start, errSilence)
	if !o.known() {
		o.t.Fatal("not known after a second without an answer")
	}
}

// admitted tells whether the next delivery is let through, which then ends at once.
func (o *outageTest) admitted() bool {
	_, leave, err := o.admit(context.Background())
	if err == nil {
		leave()
	}
	return err == nil
}

func TestOutageBegins(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(o *outage) (start time.Time) // until an attempt has failed
		want   bool
	}{
		{"a second without an answer", func(*outage) time.Time {
			start := time.Now()
			time.Sleep(time.Second)
			return start
		}, true},
		{"less than a second", func(*outage) time.Time {
			start := time.Now()
			time.Sleep(time.Second - 1)
			return start
		}, false},
		{"somebody else was answered meanwhile", func(o *outage) time.Time {
			start := time.Now()
			time.Sleep(time.Second / 2)
			o.acknowledged()
			time.Sleep(time.Second / 2)
			return start
		}, false},
		{"a quiet hour is no outage", func(o *outage) time.Time {
			o.acknowledged()
			time.Sleep(time.Hour)
			return time.Now()
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutageTest(t)
				o.suspect(test.before(o.outage), errSilence)
				if o.known() != test.want || !test.want && !o.admitted() {
					t.Errorf("known: %v, want %v", o.known(), test.want)
				}
				if test.want && (len(o.told) != 1 || o.told[0] != errSilence) {
					t.Errorf("told %v", o.told)
				}
			})
		})
	}
}

func TestOutageAdmitsOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutageTest(t)
		o.begin()
		for range 10 {
			ctx, leave, err := o.admit(context.Background())
			if err != nil {
				t.Fatalf("no probe: %v", err)
			}
			for range 3 {
				_, _, err := o.admit(context.Background())
				if want := "no event has been acknowledged for "; err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, errSilence) {
					t.Errorf("a second one: %v, want %s…: %v", err, want, errSilence)
				}
			}
			begin := time.Now()
			<-ctx.Done()
			if took := time.Since(begin); took != time.Second/2 || !errors.Is(context.Cause(ctx), errProbed) {
				t.Errorf("a probe ends after %s: %v", took, context.Cause(ctx))
			}
			leave()
		}
		if len(o.told) != 1 {
			t.Errorf("told %v", o.told)
		}
	})
}

func TestOutageEndsWithAnAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutageTest(t)
		o.begin()
		ctx, leave, err := o.admit(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		time.Sleep(time.Second / 4)
		o.acknowledged()
		if first, second := o.admitted(), o.admitted(); o.known() || o.unsettled() || o.err() != nil || !first || !second {
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

func TestOutageIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutageTest(t)
		o.begin()
		o.forget() // has no effect on what is known
		if !o.known() {
			t.Error("forgotten at once")
		}
		time.Sleep(outageMemory)
		if first, second := o.admitted(), o.admitted(); !first || !second {
			t.Error("after a quiet time not everybody is let through")
		}
		if !o.unsettled() || o.age() < outageMemory {
			t.Errorf("nobody was answered: unsettled %v for %s", o.unsettled(), o.age())
		}
		o.forget()
		if o.unsettled() {
			t.Error("still unsettled")
		}
	})
}

// TestSilenceIsFoundOnceForAll: with a server that answers nothing the first delivery
// waits, the next are refused at once, and the first answer ends that.
func TestSilenceIsFoundOnceForAll(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "")
	p, log := mustOpenWith(t, serverConfig(s), nil)
	mustPublish(t, p, clicks("before", 1)...)
	s.Pause()
	if _, err := p.Publish(withDeadline(t, 2*time.Second), clicks("first", 1)); err == nil {
		t.Error("stored by a server that hangs")
	}
	var refused atomic.Int32
	var group sync.WaitGroup
	start := time.Now()
	for range 100 {
		group.Go(func() {
			if _, err := p.Publish(withDeadline(t, 2*time.Second), clicks("next", 1)); err != nil && strings.HasPrefix(err.Error(), "no event has been acknowledged for ") {
				refused.Add(1)
			}
		})
	}
	group.Wait()
	if took := time.Since(start); refused.Load() != 99 || took > time.Second {
		t.Errorf("%d of 100 were refused, all within %s; want all but a probe, that has half a second", refused.Load(), took)
	}
	s.Resume()
	eventually(t, "stored again", func() bool {
		outcomes, _ := p.Publish(withDeadline(t, time.Second), clicks("after", 1))
		return outcomes[0] != schema.Failed
	})
	for _, line := range []string{"no event is acknowledged any more", "events are acknowledged again"} {
		if strings.Count(log.String(), line) != 1 {
			t.Errorf("%q is not logged once:\n%s", line, log)
		}
	}
}

// TestPublishWaitsForAnotherConnection: a connection that is lost and made again soon
// costs a delivery that comes in between a moment and nothing else.
func TestPublishWaitsForAnotherConnection(t *testing.T) {
	needsProcess(t)
	proxy := natstest.StartProxy(t, natstest.Start(t, ""))
	cfg := testConfig()
	cfg.Servers = proxy.URL()
	p := mustOpen(t, cfg)
	proxy.Hold(true, true) // no new connection comes about
	proxy.Cut()
	eventually(t, "the connection is lost", func() bool { return !p.online.Load() })
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "not connected to ") {
		t.Errorf("Ready meanwhile: %v", err)
	}
	time.AfterFunc(300*time.Millisecond, proxy.Pass)
	mustPublish(t, p, clicks("m", 1)...)
}

// TestTryPublishStoresNothing: what is asked while in doubt is answered by the
// stream's leader, in a cluster too, and leaves nothing behind.
func TestTryPublishStoresNothing(t *testing.T) {
	needsProcess(t)
	for _, cfg := range []Config{
		serverConfig(natstest.Start(t, "")),
		serverConfig(natstest.StartCluster(t, 3, natstest.ClusterOptions{}).Servers...),
	} {
		p := mustOpen(t, cfg)
		eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
		if err := p.tryPublish(withDeadline(t, 5*time.Second), p.link.Load()); err != nil {
			t.Errorf("%s: %v", cfg.Servers, err)
		}
		js := natstest.JetStream(t, cfg.Servers)
		if n := info(t, js, "POSTBACKS").State.LastSeq; n != 0 {
			t.Errorf("%s: %d messages", cfg.Servers, n)
		}
		if err := js.DeleteStream(t.Context(), "POSTBACKS"); err != nil {
			t.Fatal(err)
		}
		if err := p.tryPublish(withDeadline(t, 5*time.Second), p.link.Load()); err == nil {
			t.Errorf("%s: answered without a stream", cfg.Servers)
		}
	}
}
