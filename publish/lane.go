package publish

import (
	"context"
	"errors"
	"fmt"
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
	from, to string // names of the streams
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
		taken, err := reader.take(ctx)
		if err != nil {
			return err
		}
		if err := l.move(ctx, l.messages(taken)); err != nil {
			return err
		}
		if err := acknowledge(ctx, taken[len(taken)-1]); err != nil {
			return err
		}
		l.relay.from.metrics.relayed.Add(float64(len(taken)))
	}
}

// move returns when the cluster has acknowledged the messages, or when ctx ends.
func (l *lane) move(ctx context.Context, messages []message) error {
	err := l.relay.to.insist(ctx, messages, l.trouble)
	for i := range messages {
		l.relay.from.countDeadLetter(&messages[i])
	}
	return err
}

// subscribe finds the durable consumer or makes it, and has it begin at the first
// message that is not acknowledged.
func (l *lane) subscribe(ctx context.Context) (*reader, error) {
	local, err := l.relay.from.connected()
	if err != nil {
		return nil, err
	}
	setUp, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	consumer, err := l.relay.from.durable(setUp, local, l.from, jetstream.ConsumerConfig{
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
	// The server would send again only after redelivery, and behind newer ones, what
	// was taken and not acknowledged.
	reset, err := local.js.ResetConsumer(setUp, l.from, RelayConsumer)
	for moved := true; moved && err == nil; {
		reset, moved, err = l.passDisguised(ctx, local, reset)
	}
	if err != nil {
		return nil, err
	}
	return newReader(consumer, true)
}

// passDisguised moves the next message by itself where the consumer would not get it
// past the client library, and tells whether it was one.
func (l *lane) passDisguised(ctx context.Context, local *link, at *jetstream.ConsumerResetResponse) (*jetstream.ConsumerResetResponse, bool, error) {
	setUp, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	m, err := ask(setUp, local.nc, l.from, question{Seq: at.ResetSeq, Next: ">"})
	if err != nil || m == nil || !isDisguised(m) {
		return at, false, err
	}
	if err := l.move(ctx, []message{forward(m.Header, m.Data, m.Subject, l.to)}); err != nil {
		return nil, false, err
	}
	setUp, cancel = context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	next, err := local.js.ResetConsumerToSequence(setUp, l.from, RelayConsumer, m.Sequence+1)
	return next, true, err
}

func (l *lane) messages(taken []jetstream.Msg) []message {
	all := make([]message, len(taken))
	for i, m := range taken {
		all[i] = forward(m.Headers(), m.Data(), m.Subject(), l.to)
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

// backlog is how many messages of the local stream the cluster has not acknowledged,
// and for how long the first one has been here. The stream tells whether there is one:
// the server counts a message as pending a little later than it acknowledges it.
func (l *lane) backlog(ctx context.Context) (n uint64, age time.Duration, err error) {
	local, err := l.relay.from.connected()
	if err != nil {
		return 0, 0, err
	}
	stream, err := local.js.Stream(ctx, l.from)
	if err != nil {
		return 0, 0, fmt.Errorf("stream %s: %w", l.from, err)
	}
	moved := uint64(0)
	consumer, err := stream.Consumer(ctx, RelayConsumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound): // the relay has not begun
		n = stream.CachedInfo().State.Msgs
	case err != nil:
		return 0, 0, fmt.Errorf("consumer %s of stream %s: %w", RelayConsumer, l.from, err)
	default:
		info := consumer.CachedInfo()
		n, moved = info.NumPending+uint64(info.NumAckPending), info.AckFloor.Stream
	}
	first, err := ask(ctx, local.nc, l.from, question{Seq: moved + 1, Next: ">"})
	if err != nil || first == nil {
		return 0, 0, err
	}
	return max(n, 1), time.Since(first.Time), nil
}
