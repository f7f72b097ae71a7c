package forward

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/schema"
)

// flag is shared between the sampler and the queues.
type flag = atomic.Bool

const (
	// minPause and maxPause are between two attempts. Each pause is twice the last one.
	minPause = time.Second
	maxPause = 10 * time.Minute
	// ackWait is when another gateway gets a delivery whose gateway has crashed. One that
	// runs extends it each keepInterval.
	ackWait      = time.Minute
	keepInterval = 15 * time.Second
	// pullTime is how long one request for the next delivery waits. A queue that has been
	// idle for as long ends; the next delivery starts it again.
	pullTime = time.Minute
	// readPause is after an error of the stream.
	readPause = 250 * time.Millisecond
	// consumerTime is how long the server keeps a consumer that nobody reads by: longer
	// than one delivery is retried, while nothing is read.
	consumerTime = time.Hour
)

// queue forwards the deliveries of one account in their order.
type queue struct {
	*worker
	subject string
	failed  *natsconn.LastError
}

func newQueue(w *worker, subject string) *queue {
	account := subject[strings.LastIndexByte(subject, '.')+1:]
	return &queue{worker: w, subject: subject, failed: natsconn.NewLastError(w.log.With(slog.String("account", account)),
		"a delivery cannot be forwarded, trying again", "deliveries are forwarded again")}
}

// account returns the account in the subject; empty if there is none.
func (q *queue) account() string {
	account, _ := schema.UnescapeToken(q.subject[strings.LastIndexByte(q.subject, '.')+1:]) // "_" is none
	return account
}

// run ends when there is nothing to forward, or when ctx ends.
func (q *queue) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := q.read(ctx)
		if err == nil {
			return
		}
		natsconn.Sleep(ctx, readPause)
	}
}

// read forwards until the queue is idle. An error means that the stream does not respond,
// which the sampler logs.
func (q *queue) read(ctx context.Context) error {
	link, err := q.cfg.Streams.Conn.Link()
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
	defer cancel()
	s, err := link.JS.Stream(opening, q.stream())
	if err != nil {
		return err
	}
	consumer, err := q.consumer(opening, s)
	if err != nil {
		return err
	}
	for {
		if ctx.Err() != nil {
			return nil // the server would deliver the next one to nobody
		}
		m, err := q.next(ctx, consumer)
		if m == nil || err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		c := storedCopy{q, link.NC, s, m, meta}
		if err := c.process(ctx); err != nil {
			return err
		}
	}
}

// consumer creates the queue's consumer. It is kept in memory: a delivery that was
// forwarded is deleted, so there is nothing to remember, and after a restart of the server
// no delivery counts as in flight.
func (q *queue) consumer(ctx context.Context, s jetstream.Stream) (jetstream.Consumer, error) {
	sum := sha256.Sum256([]byte(q.subject))
	return s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:           "forward_" + hex.EncodeToString(sum[:16]),
		Description:       "Forwards " + q.subject,
		FilterSubject:     q.subject,
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           ackWait,
		MaxAckPending:     1, // of all gateways together: this keeps the order
		MemoryStorage:     true,
		InactiveThreshold: q.cfg.MaxAge + consumerTime,
	})
}

// next returns the next delivery; nil if there is none.
func (q *queue) next(ctx context.Context, consumer jetstream.Consumer) (jetstream.Msg, error) {
	pulling, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	m, err := consumer.Next(jetstream.FetchContext(pulling))
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, nats.ErrTimeout), pulling.Err() != nil:
		return nil, nil
	default:
		return nil, err
	}
}

// attempt waits for a slot and posts the delivery. An attempt that has begun goes on after
// ctx has ended: the bot would process it, and get it again.
func (q *queue) attempt(ctx context.Context, d *schema.Delivery) error {
	select {
	case q.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.slots }()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return q.post(q.aborted, d)
}

var (
	errTooOld = errors.New("the bot has not accepted it for GATEWAY_FORWARD_MAX_AGE")
	errFull   = errors.New("the stream of deliveries to forward is nearly full")
)

// wait waits for the next attempt. It returns why there is none.
func (q *queue) wait(ctx context.Context, pause time.Duration, stored time.Time) error {
	for end := time.Now().Add(pause); ctx.Err() == nil; natsconn.Sleep(ctx, min(time.Until(end), minPause)) {
		switch now := time.Now(); {
		case now.Sub(stored) >= q.cfg.MaxAge:
			return errTooOld
		case q.full.Load():
			return errFull
		case !now.Before(end):
			return nil
		}
	}
	return nil
}
