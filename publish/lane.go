package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

// laneBytes bounds the messages of one window of the relay; window bounds their
// number. A window is under way in a moment, so that a cluster that changes its
// leader meanwhile takes a part from its beginning and not one from its end.
const laneBytes = 4 << 20

// laneWait is how long a window that has begun waits for a next message that is
// announced.
const laneWait = 100 * time.Millisecond

// redelivery is when the local server sends again what is not acknowledged. The
// relay has it in memory then, and after a restart it resets the consumer; so it
// should never be.
const redelivery = 24 * time.Hour

// lane moves one stream.
type lane struct {
	relay    *Relay
	log      *slog.Logger
	from, to string // names of the streams

	last    uint64       // sequence in the local stream up to which messages were taken
	oldest  atomic.Int64 // when the oldest message that was taken and not moved was stored, Unix ns; 0: there is none
	trouble atomic.Value // string: why nothing moves
}

func newLane(r *Relay, from, to string) *lane {
	l := &lane{relay: r, log: r.to.log, from: from, to: to}
	l.trouble.Store("")
	return l
}

// run moves messages until ctx ends.
func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := l.follow(ctx); ctx.Err() == nil {
			l.stuck(fmt.Errorf("the local stream %s cannot be read: %w", l.from, err))
			sleep(ctx, maxRetryWait)
		}
	}
}

// follow reads the local stream from where the cluster's acknowledgements end.
func (l *lane) follow(ctx context.Context) error {
	messages, err := l.subscribe(ctx)
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		taken, err := l.take(ctx, messages)
		if err != nil {
			return err
		}
		if err := l.move(ctx, taken.messages); err != nil {
			return err
		}
		if err := l.acknowledge(ctx, taken.last); err != nil {
			return err
		}
		l.relay.from.metrics.relayed.Add(float64(len(taken.messages)))
		l.oldest.Store(0)
	}
}

// subscribe finds the durable consumer or makes it. The reset lets it begin at
// the first message that is not acknowledged, which the server would otherwise
// send again only after redelivery, and behind newer ones.
func (l *lane) subscribe(ctx context.Context) (jetstream.MessagesContext, error) {
	local, err := l.relay.from.connected()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	consumer, err := local.js.CreateOrUpdateConsumer(ctx, l.from, jetstream.ConsumerConfig{
		Durable:       RelayConsumer,
		Description:   "What the gateway has moved to the cluster",
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckAllPolicy,
		AckWait:       redelivery,
		MaxAckPending: -1, // what is asked for bounds it
	})
	if err != nil {
		return nil, err
	}
	if _, err := local.js.ResetConsumer(ctx, l.from, RelayConsumer); err != nil {
		return nil, err
	}
	l.last = 0
	return consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(window, laneBytes))
}

// taken is what is moved at once.
type taken struct {
	messages []message
	last     jetstream.Msg // acknowledging it acknowledges all
}

// take waits for a message and returns it with those that are there already.
func (l *lane) take(ctx context.Context, messages jetstream.MessagesContext) (taken, error) {
	var t taken
	for size := 0; len(t.messages) < window && size < laneBytes; {
		m, err := l.next(ctx, messages, len(t.messages) == 0)
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			return t, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return t, err
		}
		if meta.Sequence.Stream <= l.last {
			continue // sent again although it is here
		}
		l.last = meta.Sequence.Stream
		if len(t.messages) == 0 {
			l.oldest.Store(meta.Timestamp.UnixNano())
		}
		t.messages = append(t.messages, message{
			msg:     &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()},
			stream:  l.to,
			outcome: schema.Failed,
		})
		t.last = m
		size += len(m.Data())
		if meta.NumPending == 0 {
			break
		}
	}
	return t, nil
}

func (l *lane) next(ctx context.Context, messages jetstream.MessagesContext, first bool) (jetstream.Msg, error) {
	if first {
		return messages.Next(jetstream.NextContext(ctx))
	}
	return messages.Next(jetstream.NextMaxWait(laneWait))
}

// move returns when the cluster has acknowledged all messages, or when ctx ends.
// There is no other way out: nothing is given up, and nothing overtakes.
func (l *lane) move(ctx context.Context, messages []message) error {
	for pause := retryWait; ; pause = min(2*pause, maxRetryWait) {
		err := l.attempt(ctx, messages)
		if err == nil {
			l.moving()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.stuck(err)
		sleep(ctx, pause)
	}
}

func (l *lane) attempt(ctx context.Context, messages []message) error {
	cluster, err := l.relay.to.current()
	if err != nil {
		return err
	}
	limit := l.relay.to.limit(cluster)
	for i := range messages {
		if err := messages[i].fit(&l.relay.to.cfg, limit); err != nil {
			return err
		}
	}
	err = l.relay.to.attempt(ctx, cluster, messages)
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		l.relay.to.wake() // maybe somebody has deleted the stream: then it is created again
	}
	return err
}

// acknowledge waits for the local server: what it knows now is not sent to the
// cluster again after a restart.
func (l *lane) acknowledge(ctx context.Context, last jetstream.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	return last.DoubleAck(ctx)
}

// stuck notes and logs why nothing moves, the same thing once in a row.
func (l *lane) stuck(err error) {
	text := err.Error()
	if l.trouble.Swap(text) != text {
		l.log.Warn("the relay waits; events are kept on this machine", slog.String("stream", l.from), slog.Any("error", err))
	}
}

func (l *lane) moving() {
	if l.trouble.Swap("") != "" {
		l.log.Info("the relay moves on", slog.String("stream", l.from))
	}
}

// pending is how many messages of the local stream the cluster has not
// acknowledged: all of them before the relay's first round.
func (l *lane) pending(ctx context.Context) (uint64, error) {
	local, err := l.relay.from.connected()
	if err != nil {
		return 0, err
	}
	stream, err := local.js.Stream(ctx, l.from)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", l.from, err)
	}
	consumer, err := stream.Consumer(ctx, RelayConsumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return stream.CachedInfo().State.Msgs, nil
	}
	if err != nil {
		return 0, fmt.Errorf("consumer %s of stream %s: %w", RelayConsumer, l.from, err)
	}
	info := consumer.CachedInfo()
	return info.NumPending + uint64(info.NumAckPending), nil
}

func (l *lane) age() time.Duration {
	if oldest := l.oldest.Load(); oldest != 0 {
		return time.Since(time.Unix(0, oldest))
	}
	return 0
}

// sleep waits, no longer than ctx lasts.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
