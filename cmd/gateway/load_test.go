package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// traffic is what platforms send: many clients, each with one delivery of one
// click at a time and a pause between them.
type traffic struct {
	base    string // of the webhook
	secret  string
	name    string // first part of every id
	clients int
	pause   time.Duration
	size    int // of each payload, in bytes
	// oneRequest has every delivery come on a connection of its own.
	oneRequest bool
	// repeat has every other delivery come twice, as platforms do at times.
	repeat bool
}

// answer is what became of one delivery.
type answer struct {
	id         string
	status     int // 0: none came
	retryAfter string
	err        error
	began      time.Time
	took       time.Duration
}

// running is traffic that flows until it is stopped.
type running struct {
	traffic
	client *http.Client
	quit   chan struct{}
	once   sync.Once // closes quit
	wg     sync.WaitGroup
	good   atomic.Int64 // answered 200 so far

	mu      sync.Mutex
	answers []answer // in the order in which they came
}

func (tr traffic) start(t testing.TB) *running {
	transport := &http.Transport{MaxIdleConnsPerHost: tr.clients, DisableKeepAlives: tr.oneRequest}
	r := &running{
		traffic: tr, quit: make(chan struct{}),
		client: &http.Client{Transport: transport, Timeout: 30 * time.Second},
	}
	for i := range tr.clients {
		r.wg.Go(func() { r.send(i) })
	}
	t.Cleanup(func() { r.stop() })
	return r
}

// send delivers until quit. Clients do not fall into step: each begins its pause
// when its own answer is there.
func (r *running) send(client int) {
	for n := 0; ; n++ {
		a := r.deliver(fmt.Sprintf("%s_%d_%d", r.name, client, n))
		if r.repeat && n%2 == 1 && a.status == http.StatusOK {
			a = r.deliver(a.id)
		}
		if a.status == http.StatusOK {
			r.good.Add(1)
		}
		r.mu.Lock()
		r.answers = append(r.answers, a)
		r.mu.Unlock()
		select {
		case <-r.quit:
			return
		case <-time.After(r.pause):
		}
	}
}

// deliver posts one click, once.
func (r *running) deliver(id string) answer {
	a := answer{id: id}
	body := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro" + strings.Repeat("x", r.size), ID: id})
	request, err := simulate.Request(r.base, r.secret, body)
	if err != nil {
		a.err = err
		return a
	}
	request.GetBody = nil // no second try behind the test's back
	a.began = time.Now()
	response, err := r.client.Do(request)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		a.status, a.retryAfter = response.StatusCode, response.Header.Get("Retry-After")
	}
	a.took, a.err = time.Since(a.began), err
	return a
}

// stop ends the traffic and returns every answer. It may be called again.
func (r *running) stop() []answer {
	r.once.Do(func() { close(r.quit) })
	r.wg.Wait()
	return r.soFar()
}

// soFar returns the answers that have come.
func (r *running) soFar() []answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.answers)
}

// awaitGood returns when n more deliveries were answered 200.
func (r *running) awaitGood(t testing.TB, n int64) {
	t.Helper()
	target := r.good.Load() + n
	eventually(t, fmt.Sprintf("%d more deliveries answered 200", n), func() bool { return r.good.Load() >= target })
}

// redeliver sends what was not answered 200 again until it is, as platforms do.
func (r *running) redeliver(t testing.TB, answers []answer) {
	t.Helper()
	queue := make(chan string)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for id := range queue {
				for deadline := time.Now().Add(natstest.Patience); r.deliver(id).status != http.StatusOK; {
					if time.Now().After(deadline) {
						t.Errorf("%s: not answered 200 within %s", id, natstest.Patience)
						break
					}
				}
			}
		})
	}
	for _, a := range answers {
		if a.status != http.StatusOK {
			queue <- a.id
		}
	}
	close(queue)
	wg.Wait()
}

var eventually = natstest.Eventually

// slowest returns the longest that an answer took.
func slowest(answers []answer) (longest answer) {
	for _, a := range answers {
		if a.took > longest.took {
			longest = a
		}
	}
	return longest
}

// byStatus counts answers; 0 stands for those that did not come.
func byStatus(answers []answer) map[int]int {
	n := make(map[int]int)
	for _, a := range answers {
		n[a.status]++
	}
	return n
}

// between returns the answers to what began from start to end.
func between(answers []answer, start, end time.Time) []answer {
	return slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.began.Before(start) || a.began.After(end) })
}

// isRefused tells whether nobody listened: what every balancer and platform takes
// as "try elsewhere", or later.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// wantOnly200And503 checks that the gateway answered everything with one of them,
// and every 503 with the time after which to come again.
func wantOnly200And503(t testing.TB, answers []answer) {
	t.Helper()
	for _, a := range answers {
		switch {
		case a.err != nil:
			t.Errorf("%s: %v after %s", a.id, a.err, a.took)
		case a.status != http.StatusOK && (a.status != http.StatusServiceUnavailable || a.retryAfter == ""):
			t.Errorf("%s: answered %d, Retry-After %q", a.id, a.status, a.retryAfter)
		}
	}
}

// wantOnce checks that the stream of the servers at url holds what was answered,
// each event once, and nothing else.
func wantOnce(t testing.TB, url string, answers ...[]answer) {
	t.Helper()
	found := storedIDs(t, url)
	for _, a := range slices.Concat(answers...) {
		if found[a.id] != 1 {
			t.Errorf("%s was answered 200 in the end and is stored %d times", a.id, found[a.id])
		}
		delete(found, a.id)
	}
	for id, n := range found {
		t.Errorf("%s is stored %d times and was never sent", id, n)
	}
}

// awaitReady returns when /readyz says that events can be stored.
func (p *gatewayProcess) awaitReady() {
	p.t.Helper()
	eventually(p.t, "ready", func() bool {
		status, _ := p.get(p.at.Admin + "/readyz")
		return status == http.StatusOK
	})
}

// awaitUnready returns when /readyz says that they cannot, with the reason.
func (p *gatewayProcess) awaitUnready(reason string) {
	p.t.Helper()
	last := ""
	eventually(p.t, "not ready because of "+reason, func() bool {
		status, text := p.get(p.at.Admin + "/readyz")
		if text != last {
			last = text
			p.t.Logf("readyz: %d %s", status, strings.TrimSpace(text))
		}
		return status == http.StatusServiceUnavailable && strings.Contains(text, reason)
	})
}

// memory returns a field of /proc/<pid>/status in bytes, such as VmRSS or VmHWM.
func memory(t testing.TB, pid int, field string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return 0
}
