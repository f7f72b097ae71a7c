package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// balancer passes connections on to the backends in turn, to those whose /readyz said so
// last. It tries the next one if nobody listens: a proxy must not repeat a POST.
type balancer struct {
	t        testing.TB
	listener net.Listener
	backends []*backend

	mu   sync.Mutex
	next int
}

type backend struct {
	address, admin string // host and port
	ready          atomic.Bool
}

func startBalancer(t testing.TB, backends ...*backend) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{t: t, listener: listener, backends: backends}
	go b.serve()
	t.Cleanup(func() { _ = listener.Close() })
	for _, one := range backends {
		go one.probe(t.Context())
	}
	b.awaitAll()
	return b
}

// probe asks for readiness as Kubernetes does, only more often. As there, a backend that
// does not answer in time on a busy machine stays what it was.
func (b *backend) probe(ctx context.Context) {
	client := &http.Client{Timeout: time.Second}
	for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
		response, err := client.Get("http://" + b.admin + "/readyz")
		switch {
		case err == nil:
			_ = response.Body.Close()
			b.ready.Store(response.StatusCode == http.StatusOK)
		case isRefused(err):
			b.ready.Store(false)
		}
	}
}

// awaitAll returns when all backends are ready.
func (b *balancer) awaitAll() {
	b.t.Helper()
	eventually(b.t, "all backends are ready", func() bool {
		return !slices.ContainsFunc(b.backends, func(one *backend) bool { return !one.ready.Load() })
	})
}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() }

func (b *balancer) serve() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		go b.pass(client)
	}
}

func (b *balancer) pass(client net.Conn) {
	server, err := b.dial()
	if err != nil {
		b.t.Errorf("the balancer: %v", err)
		_ = client.Close()
		return
	}
	go passOn(server, client)
	passOn(client, server)
}

func (b *balancer) dial() (conn net.Conn, err error) {
	b.mu.Lock()
	first := b.next
	b.next++
	b.mu.Unlock()
	err = errors.New("no backend is ready")
	for i := range b.backends {
		one := b.backends[(first+i)%len(b.backends)]
		if !one.ready.Load() {
			continue
		}
		conn, err = net.Dial("tcp", one.address)
		if err == nil || !isRefused(err) {
			return conn, err
		}
	}
	return nil, err
}

// passOn copies until one side ends, and resets the other where it was reset.
func passOn(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.(*net.TCPConn).SetLinger(0)
		_ = to.Close()
		_ = from.Close()
		return
	}
	_ = to.(*net.TCPConn).CloseWrite()
}

// TestRollingRestart stops two gateways behind one address in turn, under load, over
// connections that clients keep and over those that they make for each delivery. All
// that anybody is answered is 200: the balancer sees on /readyz who stops, and who stops
// finishes what has begun.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, "")
	var backends []*backend
	var gateways []*gatewayProcess
	start := func(b *backend) *gatewayProcess {
		return startOn(t, server.URL(), "GATEWAY_LISTEN="+b.address, "GATEWAY_ADMIN_LISTEN="+b.admin)
	}
	for range 2 {
		b := &backend{address: fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t)), admin: fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))}
		backends = append(backends, b)
		gateways = append(gateways, start(b))
	}
	b := startBalancer(t, backends...)
	keep := traffic{base: b.url(), secret: "s", name: "keep", clients: 16, pause: 20 * time.Millisecond}.start(t)
	fresh := traffic{base: b.url(), secret: "s", name: "fresh", clients: 16, pause: 20 * time.Millisecond, oneRequest: true}.start(t)
	for i := range gateways {
		fresh.awaitGood(t, 200)
		gateways[i].terminate()
		gateways[i] = start(backends[i])
		b.awaitAll()
	}
	fresh.awaitGood(t, 200)
	answers := slices.Concat(keep.stop(), fresh.stop())
	for _, a := range answers {
		if a.status != http.StatusOK {
			t.Errorf("%s: answered %d, %v after %s", a.id, a.status, a.err, a.took)
		}
	}
	t.Logf("%d deliveries, at most %s", len(answers), slowest(answers).took)
	wantOnce(t, server.URL(), answers)
	for _, p := range gateways {
		p.terminate()
	}
}
