package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// acceptErrorAge is how long after an error a listener counts as failing. net/http
	// tries again after at most a second.
	acceptErrorAge = 2 * time.Second
	// acceptLogInterval bounds the lines about it.
	acceptLogInterval = time.Minute
)

// watchedListener remembers that connections cannot be accepted, as when the process
// has run out of file descriptors. net/http tells only its ErrorLog, and tries again.
// It is safe for concurrent use.
type watchedListener struct {
	net.Listener
	log   *slog.Logger
	limit rate.Sometimes

	mu     sync.Mutex
	err    error // the last one
	failed time.Time
}

func watchListener(l net.Listener, log *slog.Logger) *watchedListener {
	return &watchedListener{Listener: l, log: log, limit: rate.Sometimes{Interval: acceptLogInterval}}
}

// Accept implements [net.Listener].
func (l *watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.mu.Lock()
		l.err, l.failed = err, time.Now()
		l.mu.Unlock()
		l.limit.Do(func() {
			l.log.Error("cannot accept connections; trying further", "error", err, "help", acceptHelp)
		})
	}
	return conn, err
}

const acceptHelp = "if too many files are open, raise the limit (ulimit -n, LimitNOFILE) or limit the connections of the proxy"

// check is part of readiness. A success does not end the failure: nobody may connect
// while the gateway is not ready.
func (l *watchedListener) check(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.failed) < acceptErrorAge {
		return fmt.Errorf("cannot accept connections (%w): %s", l.err, acceptHelp)
	}
	return nil
}
