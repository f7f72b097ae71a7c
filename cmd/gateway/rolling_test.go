package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// balancer passes connections on to the backends in turn. It tries the next one
// only where nobody listens, as a proxy does that may not repeat a POST.
type balancer struct {
	t        testing.TB
	listener net.Listener
	backends []string

	mu   sync.Mutex
	next int
}

func startBalancer(t testing.TB, backends ...string) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{t: t, listener: listener, backends: backends}
	go b.serve()
	t.Cleanup(func() { _ = listener.Close() })
	return b
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
	for i := range b.backends {
		conn, err = net.Dial("tcp", b.backends[(first+i)%len(b.backends)])
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
// that anybody is answered is 200: the balancer finds who listens, and who stops
// finishes what has begun.
func TestRollingRestart(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere connections that are being made can be reset")
	}
	t.Parallel()
	server := natstest.Start(t, "")
	var addresses []string
	var gateways []*gatewayProcess
	start := func(i int) *gatewayProcess { return startOn(t, server.URL(), "GATEWAY_LISTEN="+addresses[i]) }
	for i := range 2 {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t)))
		gateways = append(gateways, start(i))
	}
	b := startBalancer(t, addresses...)
	keep := traffic{base: b.url(), secret: "s", name: "keep", clients: 16, pause: 20 * time.Millisecond}.start(t)
	fresh := traffic{base: b.url(), secret: "s", name: "fresh", clients: 16, pause: 20 * time.Millisecond, oneRequest: true}.start(t)
	for i := range gateways {
		fresh.awaitGood(t, 200)
		gateways[i].terminate()
		gateways[i] = start(i)
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
