package server

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
	// acceptErrorTime is how long after an error a listener counts as failing. net/http
	// retries after at most a second.
	acceptErrorTime = 2 * time.Second
	// acceptLogInterval limits the lines about it.
	acceptLogInterval = time.Minute
)

const acceptHelp = "if too many files are open, raise the limit (ulimit -n, LimitNOFILE) or limit the connections of the proxy"

// checkedListener notes that connections cannot be accepted, for example because the
// process has no file descriptors left. net/http only writes a line and retries. It is
// safe for concurrent use.
type checkedListener struct {
	net.Listener
	log   *slog.Logger
	limit rate.Sometimes

	mu       sync.Mutex
	err      error // the last one
	failedAt time.Time
}

func newCheckedListener(l net.Listener, log *slog.Logger) *checkedListener {
	return &checkedListener{Listener: l, log: log, limit: rate.Sometimes{Interval: acceptLogInterval}}
}

// Accept implements [net.Listener].
func (l *checkedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.mu.Lock()
		l.err, l.failedAt = err, time.Now()
		l.mu.Unlock()
		l.limit.Do(func() { l.log.Error("cannot accept connections, retrying", "error", err, "help", acceptHelp) })
	}
	return conn, err
}

// check is part of readiness. A success does not end the failure early: nobody may
// connect while the gateway is not ready.
func (l *checkedListener) check(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.failedAt) < acceptErrorTime {
		return fmt.Errorf("cannot accept connections (%w): %s", l.err, acceptHelp)
	}
	return nil
}
