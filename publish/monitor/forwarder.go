package monitor

import (
	"context"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Forwarder publishes messages of one stream to another.
type Forwarder struct {
	// Last has the error of the last attempt.
	Last *natsconn.LastError

	to     *Monitor
	sender stream.Sender
}

// NewForwarder returns a forwarder to the streams of a monitor.
func NewForwarder(to *Monitor, last *natsconn.LastError) *Forwarder {
	return &Forwarder{Last: last, to: to, sender: stream.Sender{Conn: to.Conn, AckTimeout: to.cfg.AckTimeout}}
}

// Send returns when the streams have acknowledged all entries, in their order, or when ctx
// ends. It gives nothing up: an entry that does not fit becomes a dead letter.
func (f *Forwarder) Send(ctx context.Context, entries []stream.Entry) error {
	err := f.sender.Send(ctx, entries,
		func() (*natsconn.Link, error) { return f.prepare(entries) },
		func(err error) error {
			if ctx.Err() == nil {
				f.Last.Set(err)
			}
			return nil
		})
	if err == nil {
		f.Last.Clear()
	}
	return err
}

// prepare returns the connection for the next attempt. Its limit may have changed.
func (f *Forwarder) prepare(entries []stream.Entry) (*natsconn.Link, error) {
	if err := f.to.Check(); err != nil {
		return nil, err
	}
	link, err := f.to.Link()
	if err != nil {
		return nil, err
	}
	limit := f.to.Streams.Limit()
	for i := range entries {
		if err := entries[i].Fit(&f.to.Streams.Settings, limit); err != nil {
			return nil, err
		}
	}
	return link, nil
}
