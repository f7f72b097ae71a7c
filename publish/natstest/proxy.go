package natstest

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy passes connections on to a server until it is told to hold them. Held
// bytes arrive when the proxy lets go, as after a network that was away: TCP loses
// nothing of a connection that lives.
type Proxy struct {
	listener net.Listener
	target   string
	up, down *gate
	pongs    atomic.Int64 // that are each the last word on their connection

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// StartProxy listens before the server until the test ends.
func StartProxy(t testing.TB, server *Server) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, target: strings.TrimPrefix(server.URL(), "nats://"), up: newGate(), down: newGate()}
	var wg sync.WaitGroup
	wg.Go(func() { p.serve(&wg) })
	t.Cleanup(func() {
		p.close()
		wg.Wait()
	})
	return p
}

// URL is where clients connect.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Hold stops what clients send (up), what the server sends (down), or both. Nobody
// is told: connections stay open, and new ones are accepted.
func (p *Proxy) Hold(up, down bool) {
	p.up.set(!up)
	p.down.set(!down)
}

// Pass ends what Hold began.
func (p *Proxy) Pass() { p.Hold(false, false) }

// Cut ends all connections. Clients find out at once, and may come again.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	closeAll(p.conns)
	p.conns = nil
}

// CutAfterPong ends each of the next n connections right behind the first PONG: the
// client has connected, and is told in the same moment that it is cut off.
func (p *Proxy) CutAfterPong(n int) { p.pongs.Store(int64(n)) }

// Cuts returns how many of them are still to be ended.
func (p *Proxy) Cuts() int { return int(p.pongs.Load()) }

// untilPong writes to a client, and ends with a PONG while there are some to cut at.
type untilPong struct {
	net.Conn
	left *atomic.Int64
}

func (u *untilPong) Write(data []byte) (int, error) {
	n, err := u.Conn.Write(data)
	if err == nil && u.left.Load() > 0 && bytes.Contains(data, []byte("PONG\r\n")) {
		u.left.Add(-1)
		return n, net.ErrClosed
	}
	return n, err
}

func (p *Proxy) serve(wg *sync.WaitGroup) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		wg.Go(func() { p.up.copy(server, client) })
		wg.Go(func() { p.down.copy(&untilPong{client, &p.pongs}, server) })
	}
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	if p.closed {
		closeAll(conns)
	}
	return !p.closed
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	closeAll(p.conns)
	p.Pass()
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// gate lets bytes through while it is open.
type gate struct {
	mu   sync.Mutex
	cond sync.Cond
	open bool
}

func newGate() *gate {
	g := &gate{open: true}
	g.cond.L = &g.mu
	return g
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
	g.cond.Broadcast()
}

func (g *gate) wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.open {
		g.cond.Wait()
	}
}

// copy passes bytes on until one side ends, and then ends both: the end of a
// connection is held like everything else.
func (g *gate) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		g.wait()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
