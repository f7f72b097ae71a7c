package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Timeouts of the listeners. Meta gives up on a delivery after a few seconds;
// a sender that is slower than this holds a slot for nothing.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	idleTimeout       = 2 * time.Minute // longer than that of the usual proxies, so that they close first
	maxHeaderBytes    = 64 << 10
)

func (g *gateway) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + g.settings.PublishTimeout + readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * is answered like any other path that there is not.
		DisableGeneralOptionsHandler: true,
		// Broken handshakes and the like: not the gateway's errors.
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// goodbye ends a server without an error on the connections that clients keep.
//
// http.Server.Shutdown closes every connection that is idle at that moment,
// maybe while the next delivery is on its way on it: the client gets a reset
// instead of an answer. So first every answer says that it is the last one on its
// connection, then new connections are refused, and only those that stay idle are
// closed in the end.
type goodbye struct {
	server *http.Server
	last   atomic.Bool

	mu     sync.Mutex
	open   map[net.Conn]http.ConnState
	closed chan struct{} // has something in it when a connection was closed
}

// lingerTimeout is how long idle connections are kept for a last delivery.
const lingerTimeout = time.Second

func newGoodbye(server *http.Server) *goodbye {
	b := &goodbye{server: server, open: make(map[net.Conn]http.ConnState), closed: make(chan struct{}, 1)}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.last.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
	server.ConnState = b.count
	return b
}

func (b *goodbye) count(conn net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state != http.StateClosed {
		b.open[conn] = state
		return
	}
	delete(b.open, conn)
	select {
	case b.closed <- struct{}{}:
	default:
	}
}

// closeUnused closes the connections on which nothing has come. Clients make some
// in advance; Shutdown would wait five seconds for each to become used.
func (b *goodbye) closeUnused() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for conn, state := range b.open {
		if state == http.StateNew {
			_ = conn.Close()
		}
	}
}

func (b *goodbye) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open) == 0
}

// settleTime is what connections that are being made have to become whole and to be
// accepted: the way there and back to a proxy, many times.
const settleTime = 100 * time.Millisecond

// close closes the listener without a reset for whom the kernel has connected to it
// and the server has not accepted yet.
func (b *goodbye) close(ctx context.Context, listener net.Listener) {
	if err := onlyKnown(listener); err == nil {
		pause(ctx, settleTime)
	}
	_ = listener.Close()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// shutdown returns when every request is answered, or with the error of ctx; then
// the connections that are left are closed. For as long as notice, connections are
// accepted like before.
func (b *goodbye) shutdown(ctx context.Context, listener net.Listener, notice time.Duration) error {
	b.last.Store(true)
	pause(ctx, notice)
	b.close(ctx, listener)
	linger := time.NewTimer(lingerTimeout)
	defer linger.Stop()
	for waiting := true; waiting && !b.idle(); {
		select {
		case <-b.closed:
		case <-linger.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
	b.closeUnused()
	// It closes the listener too, which it may not know to be closed.
	if err := b.server.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		return errors.Join(err, b.server.Close())
	}
	return nil
}
