package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

const cutConnections = 16

// cutClient does not try again by itself: a delivery is answered or it is not.
var cutClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * cutConnections}}

// cutAnswer is the body of an answer 200.
type cutAnswer struct{ Accepted, Duplicates, Ignored, Rejected int }

// postDelivery returns the answer, or why there is none.
func postDelivery(webhook, secret string, d cutDelivery) (cutAnswer, error) {
	var a cutAnswer
	request, err := simulate.Request(webhook, secret, d.body())
	if err != nil {
		return a, err
	}
	request.GetBody = nil // no second try behind the test's back
	response, err := cutClient.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return a, fmt.Errorf("answered %s %s", response.Status, why)
	}
	return a, json.NewDecoder(response.Body).Decode(&a)
}

// cutDelivery is what makes a delivery, so that it can be sent again.
type cutDelivery struct {
	ids   []string
	title int
}

func (d cutDelivery) body() []byte {
	title := strings.Repeat("x", d.title)
	clicks := make([]simulate.Click, len(d.ids))
	for i, id := range d.ids {
		clicks[i] = simulate.Click{Account: "1", User: "u", Title: title, Payload: "plan:pro", ID: id}
	}
	return simulate.Messenger(clicks...)
}

func countEvents(deliveries []cutDelivery) int {
	n := 0
	for _, d := range deliveries {
		n += len(d.ids)
	}
	return n
}

// cutID makes the ids of a test run unique.
var cutID atomic.Int64

// cutLoad is clients that post until the gateway is gone.
type cutLoad struct {
	p       *gatewayProcess
	secret  string
	variant *cutVariant
	stop    atomic.Bool
	clients sync.WaitGroup
	first   chan struct{} // closed with the first answer

	mu   sync.Mutex
	done []cutDelivery // answered 200
	open []cutDelivery // not answered when the load ended
}

func startCutLoad(p *gatewayProcess, v *cutVariant) *cutLoad {
	l := &cutLoad{p: p, secret: p.secret(), variant: v, first: make(chan struct{})}
	for range cutConnections {
		l.clients.Go(l.post)
	}
	return l
}

// post sends single events and batches in turn.
func (l *cutLoad) post() {
	for n := 0; !l.stop.Load(); n++ {
		if d := l.variant.delivery(n%2 == 0); !l.deliver(d) {
			l.mu.Lock()
			l.open = append(l.open, d)
			l.mu.Unlock()
			if !l.variant.purges { // there the stream can be full for a moment
				return
			}
		}
	}
}

// deliver tells whether the delivery was answered 200, each time that it was sent.
func (l *cutLoad) deliver(d cutDelivery) bool {
	times := 1
	if l.variant.twice {
		times = 2
	}
	var ok, accepted, duplicates atomic.Int64
	var wg sync.WaitGroup
	for range times {
		wg.Go(func() {
			a, err := postDelivery(l.p.at.Webhook, l.secret, d)
			if err != nil {
				l.complain(err)
				return
			}
			if ok.Add(1) == 1 {
				l.keep(d)
			}
			accepted.Add(int64(a.Accepted))
			duplicates.Add(int64(a.Duplicates))
		})
	}
	wg.Wait()
	all := ok.Load() == int64(times)
	// A gateway that had to ask the store twice says accepted where another one
	// was faster, so of two deliveries both can.
	events := int64(len(d.ids))
	if all && (accepted.Load() < events || accepted.Load()+duplicates.Load() != events*int64(times)) {
		l.p.t.Errorf("%d times a new delivery of %d events: %d accepted, %d duplicates", times, events, accepted.Load(), duplicates.Load())
	}
	return all
}

// complain shows what a client met while the gateway should have run.
func (l *cutLoad) complain(err error) {
	if !l.variant.killed && !l.variant.purges {
		l.p.t.Logf("a delivery was not answered 200: %v", err)
	}
}

func (v *cutVariant) delivery(single bool) cutDelivery {
	d := cutDelivery{ids: make([]string, 1), title: v.title}
	if !single {
		d.ids = make([]string, 1+rand.IntN(v.events))
	}
	for i := range d.ids {
		d.ids[i] = fmt.Sprintf("m_%d", cutID.Add(1))
	}
	return d
}

func (l *cutLoad) keep(d cutDelivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.done) == 0 {
		close(l.first)
	}
	l.done = append(l.done, d)
}

// pass returns some time after the first answer. That time waits for nothing: the
// moment of a cut is not to depend on what the gateway does.
func (l *cutLoad) pass() {
	l.p.t.Helper()
	select {
	case <-l.first:
	case <-time.After(30 * time.Second):
		l.p.t.Fatal("no delivery is answered 200")
	}
	time.Sleep(rand.N(l.variant.longest))
}

// answered returns the deliveries that have been answered 200 so far.
func (l *cutLoad) answered() []cutDelivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.done)
}

func (l *cutLoad) unanswered() []cutDelivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.open)
}

// end returns when no client posts any more.
func (l *cutLoad) end() {
	l.stop.Store(true)
	l.clients.Wait()
}
