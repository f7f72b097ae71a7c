package monitor

import (
	"context"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// SendAll returns when the streams have acknowledged all entries, in their order, or when
// ctx ends. It gives nothing up: an entry that does not fit becomes a dead letter, and last
// has the error of the last attempt.
func (m *Monitor) SendAll(ctx context.Context, sender stream.Sender, entries []stream.Entry, last *natsconn.LastError) error {
	err := sender.Send(ctx, entries,
		func() (*natsconn.Link, error) { return m.prepare(entries) },
		func(err error) error {
			if ctx.Err() == nil {
				last.Set(err)
			}
			return nil
		})
	if err == nil {
		last.Clear()
	}
	return err
}

// prepare returns the connection for the next attempt. Its limit may have changed.
func (m *Monitor) prepare(entries []stream.Entry) (*natsconn.Link, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	link, err := m.Link()
	if err != nil {
		return nil, err
	}
	limit := m.Streams.Limit(link)
	for i := range entries {
		if err := entries[i].Fit(&m.Streams.Settings, limit); err != nil {
			return nil, err
		}
	}
	return link, nil
}
