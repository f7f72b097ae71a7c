package fallback

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// idleTime is after how long without a gateway the server removes the consumer: one that is
// left behind would hold events in a full stream.
const idleTime = time.Hour

// ackWait is when another gateway gets what one has taken and not processed. The duplicate
// window prevents that it stores anything twice.
const ackWait = 30 * time.Second

// Fallback looks up the consumers when it gets an event: it publishes an event again if its
// consumer came later, and does not if the consumer was there before. Several gateways
// share the work, each in the order in which it gets its part.
type Fallback struct {
	monitor *monitor.Monitor
	to      *monitor.Forwarder
	log     *slog.Logger
	stop    context.CancelFunc
	done    sync.WaitGroup

	filters   monitor.Filters // as they were at listedAt, with that many consumers
	consumers int
	listedAt  time.Time
}

// Start begins with new events. The streams of m were opened with Fallback.
func Start(m *monitor.Monitor, log *slog.Logger) *Fallback {
	f := &Fallback{
		monitor: m, log: log,
		to: monitor.NewForwarder(m, natsconn.NewLastError(log,
			"the fallback of unclaimed events waits, and tries again", "the fallback of unclaimed events goes on")),
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	follower := stream.Follower{Name: "stream " + m.Streams.Stream, Last: f.to.Last, Open: f.open, Handle: f.handle}
	f.done.Go(func() { follower.Run(ctx) })
	return f
}

// Close stops it. When ctx ends first Close returns its error.
func (f *Fallback) Close(ctx context.Context) error {
	f.stop()
	return natsconn.Wait(ctx, &f.done)
}

func (f *Fallback) open(ctx context.Context) (*stream.Reader, error) {
	link, err := f.monitor.Conn.Link()
	if err != nil {
		return nil, err
	}
	return stream.Open(ctx, link, stream.ReaderConfig{
		Stream: f.monitor.Streams.Stream, Log: f.log,
		Durable: jetstream.ConsumerConfig{
			Durable:           stream.FallbackConsumer,
			Description:       "Looks for events that no other consumer asks for",
			DeliverPolicy:     jetstream.DeliverNewPolicy, // nobody expects a response to older events
			AckPolicy:         jetstream.AckExplicitPolicy,
			AckWait:           ackWait,
			MaxAckPending:     8 * stream.MaxBatch,
			InactiveThreshold: idleTime,
		},
	})
}

// handle publishes the messages again that no durable consumer asks for now.
func (f *Fallback) handle(ctx context.Context, batch []*stream.Message) error {
	if err := f.listFilters(ctx); err != nil {
		return err
	}
	var entries []stream.Entry
	for _, m := range batch {
		if !f.filters.Match(m.Subject) {
			entries = append(entries, m.Forward(stream.Unclaimed.Prefix+m.Subject, f.monitor.Streams.Name(stream.Unclaimed)))
		}
	}
	return f.to.Send(ctx, entries)
}

// maxListAge is how long a list of the filters is used. With many consumers the list costs
// more than the events. The number of consumers is asked for each time, so one that comes
// or goes counts at once; one that changes its filters counts when the list is that old.
const maxListAge = time.Second

func (f *Fallback) listFilters(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
	defer cancel()
	link, err := f.monitor.Conn.Link()
	if err != nil {
		return err
	}
	s, err := link.JS.Stream(ctx, f.monitor.Streams.Stream)
	if err != nil {
		return err
	}
	now, consumers := time.Now(), s.CachedInfo().State.Consumers
	if consumers == f.consumers && now.Sub(f.listedAt) < maxListAge {
		return nil
	}
	filters, err := monitor.ConsumerFilters(ctx, s, f.monitor.Streams.Root, true)
	if err == nil {
		f.filters, f.consumers, f.listedAt = filters, consumers, now
	}
	return err
}
