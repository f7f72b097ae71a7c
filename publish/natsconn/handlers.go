package natsconn

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// handlers run after the fact, in goroutines of the client. They wait until their
// connection is stored, and ignore one that was replaced.
func (c *Conn) handlers() []nats.Option {
	ifStored := func(nc *nats.Conn, do func()) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if link := c.link.Load(); link != nil && link.NC == nc {
			do()
		}
	}
	return []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) { ifStored(nc, func() { c.disconnected(err) }) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { ifStored(nc, c.reconnected) }),
		nats.ClosedHandler(func(nc *nats.Conn) { ifStored(nc, c.closed) }),
		// Such as a missing permission, or rejected credentials while reconnecting.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if c.opts.Redact != nil {
				err = errors.New(c.opts.Redact(err.Error()))
			}
			c.Reports.Set(err)
		}),
	}
}

func (c *Conn) setOnline(online bool) {
	if c.online.Swap(online) && !online {
		c.lostAt.Store(time.Now().UnixNano())
	}
	if m := c.opts.Metrics; m != nil {
		m.set(online)
	}
}

func (c *Conn) disconnected(err error) {
	c.setOnline(false)
	c.flaps.lost(err, c.ctx.Err() != nil)
}

// reconnected runs Setup again: a server that comes back may have lost its disk.
func (c *Conn) reconnected() {
	c.setOnline(true)
	c.Reports.Clear()
	c.flaps.connected("connection to NATS restored")
	c.Wake()
}

// closed follows Close, or an end of the connection that the client does not recover
// from. Then a new one is made.
func (c *Conn) closed() {
	c.setOnline(false)
	if c.ctx.Err() == nil {
		c.link.Store(nil)
		c.Wake()
	}
}

// flapLog logs connections and losses. After the second loss in a row that follows soon
// after its connection it is silent, until a connection lasts.
type flapLog struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time   // of the last connection
	flaps int         // losses in a row that followed soon
	later *time.Timer // logs a connection that lasts after all
}

const maxFlaps = 2

func (f *flapLog) connected(text string, attrs ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = time.Now()
	if f.flaps < maxFlaps {
		f.log.Info(text, attrs...)
		return
	}
	f.later = time.AfterFunc(stable, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.flaps = 0
		f.log.Info(text, attrs...)
	})
}

// lost logs a loss, unless the connection was closed on purpose.
func (f *flapLog) lost(err error, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	silent := f.later != nil && f.later.Stop()
	if closed {
		return
	}
	if f.flaps++; time.Since(f.since) >= stable {
		f.flaps = 0
	}
	if !silent {
		f.log.Warn("connection to NATS lost", slog.Any("error", err))
	}
}
