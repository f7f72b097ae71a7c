package publish

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// redelivery is when the local server sends again what is not acknowledged. The
// relay has it in memory then, and after a restart it resets the consumer; so it
// should never be.
const redelivery = 24 * time.Hour

// lane moves one stream.
type lane struct {
	relay    *Relay
	from, to string       // names of the streams
	oldest   atomic.Int64 // when the oldest message that was taken and not moved was stored, Unix ns; 0: there is none
	trouble  *trouble
}

func newLane(r *Relay, from, to string) *lane {
	return &lane{relay: r, from: from, to: to, trouble: newTrouble(r.to.log,
		"the relay of stream "+from+" waits, and tries again", "the relay of stream "+from+" goes on")}
}

// run moves messages until ctx ends.
func (l *lane) run(ctx context.Context) {
	keepReading(ctx, "the local stream "+l.from, l.trouble, l.follow)
}

// follow reads the local stream from where the cluster's acknowledgements end.
func (l *lane) follow(ctx context.Context) error {
	reader, err := l.subscribe(ctx)
	if err != nil {
		return err
	}
	defer reader.stop()
	for {
		taken, stored, err := reader.take(ctx)
		if err != nil {
			return err
		}
		l.oldest.Store(stored.UnixNano())
		if err := l.relay.to.insist(ctx, l.messages(taken), l.trouble); err != nil {
			return err
		}
		if err := acknowledge(ctx, taken[len(taken)-1]); err != nil {
			return err
		}
		l.relay.from.metrics.relayed.Add(float64(len(taken)))
		l.oldest.Store(0)
	}
}

// subscribe finds the durable consumer or makes it. The reset lets it begin at
// the first message that is not acknowledged, which the server would otherwise
// send again only after redelivery, and behind newer ones.
func (l *lane) subscribe(ctx context.Context) (*reader, error) {
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
	return newReader(consumer, true)
}

func (l *lane) messages(taken []jetstream.Msg) []message {
	all := make([]message, len(taken))
	for i, m := range taken {
		all[i] = forward(m, m.Subject(), l.to)
	}
	return all
}

// acknowledge waits for the server: what it knows now is not sent again after a
// restart. With the last message of a window all of it is acknowledged.
func acknowledge(ctx context.Context, last jetstream.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	return last.DoubleAck(ctx)
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

func (l *lane) caughtUp(ctx context.Context) bool {
	local, err := l.relay.from.connected()
	if err != nil {
		return false
	}
	stream, err := local.js.Stream(ctx, l.from)
	if err != nil {
		return false
	}
	consumer, err := stream.Consumer(ctx, RelayConsumer)
	return err == nil && consumer.CachedInfo().AckFloor.Stream >= stream.CachedInfo().State.LastSeq
}

func (l *lane) age() time.Duration {
	if oldest := l.oldest.Load(); oldest != 0 {
		return time.Since(time.Unix(0, oldest))
	}
	return 0
}
