package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// storedCopy is a delivery that the queue has received from its consumer.
type storedCopy struct {
	*queue
	nc     *nats.Conn
	stream jetstream.Stream
	msg    jetstream.Msg
	meta   *jetstream.MsgMetadata
}

// process returns when the delivery was forwarded or given up. If ctx ends before, another
// gateway, or this one after a restart, goes on with it.
func (c *storedCopy) process(ctx context.Context) error {
	stop := c.keep()
	defer stop()
	d, err := schema.DecodeDelivery(c.msg.Headers(), c.msg.Data())
	if err != nil {
		return c.giveUp(&schema.Delivery{Body: c.msg.Data()}, err)
	}
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := c.attempt(ctx, d)
		switch {
		case err == nil:
			c.metrics.forwarded.Inc()
			c.failed.Clear()
			return c.free()
		case ctx.Err() != nil:
			return c.msg.Nak()
		}
		c.metrics.failed.Inc()
		c.failed.Set(err)
		if reason := c.wait(ctx, pause, c.meta.Timestamp); reason != nil {
			return c.giveUp(d, fmt.Errorf("%w: %w", reason, err))
		}
		if gone, err := c.isGone(c.aborted); gone || err != nil {
			return err
		}
	}
}

// keep tells the server that the delivery is in progress, until it is stopped.
func (c *storedCopy) keep() (stop func()) {
	ctx, stop := context.WithCancel(c.aborted)
	go func() {
		for natsconn.Sleep(ctx, keepInterval); ctx.Err() == nil; natsconn.Sleep(ctx, keepInterval) {
			_ = c.msg.InProgress() // without a connection another gateway may go on
		}
	}()
	return stop
}

// isGone reports whether the delivery is no longer in the stream. Another gateway gets it
// if this one has been without a connection for ackWait.
func (c *storedCopy) isGone(ctx context.Context) (bool, error) {
	m, err := stream.GetMessage(ctx, c.nc, c.queue.stream(), stream.Query{Seq: c.meta.Sequence.Stream})
	return m == nil, err
}

// giveUp stores a dead letter and frees the copy.
func (c *storedCopy) giveUp(d *schema.Delivery, why error) error {
	ctx, cancel := context.WithTimeout(c.aborted, natsconn.SetupTimeout)
	defer cancel()
	d.Account = c.account()
	_, err := c.cfg.Store.Publish(ctx, []schema.Item{{Body: d.Body, Origin: d, Rejection: schema.Rejection{
		Reason: schema.ReasonNotForwarded, Detail: why.Error(), Platform: c.target.Webhook, ReceivedAt: c.meta.Timestamp,
	}}})
	if err != nil {
		return errors.Join(err, c.msg.NakWithDelay(minPause))
	}
	c.metrics.givenUp.Inc()
	c.log.Error("a delivery was not forwarded and is kept as a dead letter", slog.Any("error", why),
		slog.String("age", time.Since(c.meta.Timestamp).Round(time.Second).String()))
	return c.free()
}

// free deletes the copy. It tries until the copy is deleted, because the bot would get the
// delivery again.
func (c *storedCopy) free() error {
	for {
		err := c.delete()
		if err == nil {
			return c.msg.Ack()
		}
		if c.aborted.Err() != nil {
			return err
		}
		natsconn.Sleep(c.aborted, readPause)
	}
}

func (c *storedCopy) delete() error {
	ctx, cancel := context.WithTimeout(c.aborted, natsconn.SetupTimeout)
	defer cancel()
	err := c.stream.DeleteMsg(ctx, c.meta.Sequence.Stream)
	if err == nil {
		return nil
	}
	if gone, getErr := c.isGone(ctx); gone && getErr == nil {
		return nil // the response was lost
	}
	return err
}
