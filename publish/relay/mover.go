package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// redelivery is when the local server sends again what is not acknowledged. The relay has
// that in memory, and resets the consumer after a restart; so it should never happen.
const redelivery = 24 * time.Hour

// mover moves one stream.
type mover struct {
	relay           *Relay
	from, into      string // names of the streams
	to              *monitor.Forwarder
	countDeadLetter func(schema.Reason)
}

func newMover(r *Relay, spec *stream.Spec, countDeadLetter func(schema.Reason)) *mover {
	m := &mover{relay: r, from: r.local.Streams.Name(spec), into: r.cluster.Streams.Name(spec), countDeadLetter: countDeadLetter}
	m.to = monitor.NewForwarder(r.cluster, natsconn.NewLastError(r.log,
		"the relay of stream "+m.from+" waits, and tries again", "the relay of stream "+m.from+" goes on"))
	return m
}

// run moves messages until ctx ends.
func (m *mover) run(ctx context.Context) {
	f := stream.Follower{Name: "the local stream " + m.from, Last: m.to.Last, Open: m.open, Handle: m.move,
		Acked: func(n int) { m.relay.metrics.relayed.Add(float64(n)) }}
	f.Run(ctx)
}

// open starts at the first message that the cluster has not acknowledged.
func (m *mover) open(ctx context.Context) (*stream.Reader, error) {
	link, err := m.relay.local.Conn.Link()
	if err != nil {
		return nil, err
	}
	return stream.Open(ctx, link, stream.ReaderConfig{
		Stream: m.from, Exclusive: true, Log: m.relay.log,
		Durable: jetstream.ConsumerConfig{
			Durable:       stream.RelayConsumer,
			Description:   "What the gateway has moved to the cluster",
			DeliverPolicy: jetstream.DeliverAllPolicy,
			AckPolicy:     jetstream.AckAllPolicy,
			AckWait:       redelivery,
			MaxAckPending: -1, // the size of a batch bounds it
		},
	})
}

// move returns when the cluster has acknowledged the messages, or when ctx ends. Nothing is
// given up, and nothing overtakes.
func (m *mover) move(ctx context.Context, batch []*stream.Message) error {
	entries := make([]stream.Entry, len(batch))
	for i, message := range batch {
		entries[i] = message.Forward(message.Subject, m.into)
	}
	err := m.to.Send(ctx, entries)
	for i := range entries {
		if entries[i].Reason != "" && entries[i].Stored {
			m.countDeadLetter(entries[i].Reason)
		}
	}
	return err
}

// backlog returns how many messages of the local stream the cluster has not acknowledged,
// and for how long the first one has been here. The stream says whether there is one: the
// server counts a message as pending a little later than it acknowledges it.
func (m *mover) backlog(ctx context.Context) (n uint64, age time.Duration, err error) {
	link, err := m.relay.local.Conn.Link()
	if err != nil {
		return 0, 0, err
	}
	local, err := link.JS.Stream(ctx, m.from)
	if err != nil {
		return 0, 0, fmt.Errorf("stream %s: %w", m.from, err)
	}
	moved := uint64(0)
	consumer, err := local.Consumer(ctx, stream.RelayConsumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound): // the relay has not begun
		n = local.CachedInfo().State.Msgs
	case err != nil:
		return 0, 0, fmt.Errorf("consumer %s of stream %s: %w", stream.RelayConsumer, m.from, err)
	default:
		info := consumer.CachedInfo()
		n, moved = info.NumPending+uint64(info.NumAckPending), info.AckFloor.Stream
	}
	first, err := stream.GetMessage(ctx, link.NC, m.from, stream.Query{Seq: moved + 1, Filter: ">"})
	if err != nil || first == nil {
		return 0, 0, err
	}
	return max(n, 1), time.Since(first.Time), nil
}
