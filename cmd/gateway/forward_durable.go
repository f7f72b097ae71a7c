package main

import (
	"context"
	"fmt"
	"io"

	"github.com/postback-gateway/gateway/publish/stream"
)

// durableEvents reads by a durable consumer. A server that is away for a time is waited
// for. Events that the server delivers again, because they were not acknowledged in time,
// are dropped.
type durableEvents struct {
	open     func(context.Context) (*stream.Reader, error)
	warn     io.Writer
	reader   *stream.Reader // nil after an error
	batch    []*stream.Message
	accepted uint64 // the sequence of the last event that was
}

// next is a nextEvent. Its error is that of ctx.
func (d *durableEvents) next(ctx context.Context) (*stream.Message, func(context.Context), error) {
	for {
		if err := d.fill(ctx); err != nil {
			return nil, nil, err
		}
		m := d.batch[0]
		d.batch = d.batch[1:]
		if m.Sequence > d.accepted {
			return m, func(ctx context.Context) {
				d.accepted = m.Sequence
				d.acknowledge(ctx, m)
			}, nil
		}
		d.acknowledge(ctx, m)
	}
}

// acknowledge may fail: then the server delivers the event again.
func (d *durableEvents) acknowledge(ctx context.Context, m *stream.Message) {
	if err := d.reader.Ack(ctx, []*stream.Message{m}); err != nil && ctx.Err() == nil {
		fmt.Fprintf(d.warn, "gateway: %s: not acknowledged (%v): the server delivers it again, and it is not posted again\n", m.Subject, err)
	}
}

// fill waits for events if there are none.
func (d *durableEvents) fill(ctx context.Context) error {
	if len(d.batch) > 0 {
		return nil
	}
	return retry(ctx, d.warn, "the events cannot be read", func() (err error) {
		d.batch, err = d.read(ctx)
		return err
	})
}

func (d *durableEvents) read(ctx context.Context) (batch []*stream.Message, err error) {
	if d.reader == nil {
		if d.reader, err = d.open(ctx); err != nil {
			d.reader = nil
			return nil, err
		}
	}
	if batch, err = d.reader.NextBatch(ctx); err != nil {
		d.close()
	}
	return batch, err
}

func (d *durableEvents) close() {
	if d.reader != nil {
		d.reader.Close()
		d.reader = nil
	}
}
