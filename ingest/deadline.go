package ingest

import (
	"context"
	"sync/atomic"
	"time"
)

// deadlines are the contexts that deliveries are stored with. One of their own would
// cost each delivery a timer and six allocations, so those that come within a short time
// share one. It is safe for concurrent use.
type deadlines struct {
	timeout time.Duration
	current atomic.Pointer[deadline]
}

type deadline struct {
	context.Context
	begun time.Time
}

// sharedPart is the part of the timeout within which deliveries share a context: the last
// of them has so much less time.
const sharedPart = 64

// next returns a context for a delivery that comes now. It ends by itself.
func (d *deadlines) next() context.Context {
	now, c := time.Now(), d.current.Load()
	if c == nil || now.Sub(c.begun) > d.timeout/sharedPart {
		ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
		context.AfterFunc(ctx, cancel)
		c = &deadline{ctx, now}
		d.current.Store(c)
	}
	return c.Context
}
