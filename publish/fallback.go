package publish

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// unclaimedRoot stands before the subject of an event that nobody asks for.
const unclaimedRoot = "unclaimed."

// unclaimedSuffix makes the name of the unclaimed events' stream from the events'.
const unclaimedSuffix = "_UNCLAIMED"

func (c *Config) unclaimedStream() string { return c.Stream + unclaimedSuffix }

// FallbackConsumer is the name of the durable consumer of the fallback. All
// gateways on one stream share it.
const FallbackConsumer = "fallback"

// fallbackIdle is after how long without a gateway that uses it the server drops
// the consumer: one that is left behind would hold events in a full stream.
const fallbackIdle = time.Hour

// fallbackAckWait is when another gateway gets what one has taken and not dealt
// with. The duplicate window lets it store nothing twice.
const fallbackAckWait = 30 * time.Second

// fallback publishes every event that no durable consumer asks for once more, to
// the stream of the unclaimed, so that a service can answer what nobody else
// does. Who asks is looked up when the event is there: a consumer that came later
// finds the event among the unclaimed, one that was there before does not. Several
// gateways share the work, and the order is that in which each one gets its part.
type fallback struct {
	p       *Publisher
	trouble *trouble

	claims    claims // as they were at readAt, when there were consumers of them
	consumers int
	readAt    time.Time
}

// claimsAge is how long the list of claims is used. With many consumers it costs more
// than the events do. Their number is asked for each time, so that one that comes or
// goes counts at once; one that changes its filters does when the list is that old.
const claimsAge = time.Second

// run works until ctx ends.
func (f *fallback) run(ctx context.Context) {
	keepReading(ctx, "stream "+f.p.cfg.Stream, f.trouble, f.follow)
}

func (f *fallback) follow(ctx context.Context) error {
	stream, reader, err := f.subscribe(ctx)
	if err != nil {
		return err
	}
	defer reader.stop()
	for {
		taken, err := reader.take(ctx)
		if err != nil {
			return err
		}
		unclaimed, err := f.unclaimed(ctx, stream, taken)
		if err != nil {
			return err
		}
		if err := f.p.insist(ctx, unclaimed, f.trouble); err != nil {
			return err
		}
		for _, m := range taken {
			if err := m.Ack(); err != nil {
				return err
			}
		}
	}
}

func (f *fallback) subscribe(ctx context.Context) (jetstream.Stream, *reader, error) {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	l, err := f.p.connected()
	if err != nil {
		return nil, nil, err
	}
	stream, err := l.js.Stream(ctx, f.p.cfg.Stream)
	if err != nil {
		return nil, nil, err
	}
	consumer, err := f.p.durable(ctx, l, f.p.cfg.Stream, jetstream.ConsumerConfig{
		Durable:           FallbackConsumer,
		Description:       "Looks for events that no other consumer asks for",
		DeliverPolicy:     jetstream.DeliverNewPolicy, // no one expects an answer to what was before
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           fallbackAckWait,
		MaxAckPending:     8 * window,
		InactiveThreshold: fallbackIdle,
	})
	if err != nil {
		return nil, nil, err
	}
	reader, err := newReader(consumer, false)
	return stream, reader, err
}

// unclaimed returns what to publish for those of the messages that no durable
// consumer asks for now.
func (f *fallback) unclaimed(ctx context.Context, stream jetstream.Stream, taken []jetstream.Msg) ([]message, error) {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	if err := f.updateClaims(ctx, stream); err != nil {
		return nil, err
	}
	var all []message
	for _, m := range taken {
		if !f.claims.match(m.Subject()) {
			all = append(all, forward(m.Headers(), m.Data(), unclaimedRoot+m.Subject(), f.p.cfg.unclaimedStream()))
		}
	}
	return all, nil
}

func (f *fallback) updateClaims(ctx context.Context, stream jetstream.Stream) error {
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	now, consumers := time.Now(), info.State.Consumers
	if consumers == f.consumers && now.Sub(f.readAt) < claimsAge {
		return nil
	}
	claimed, err := readClaims(ctx, stream, f.p.cfg.Root, true)
	if err != nil {
		return err
	}
	f.claims, f.consumers, f.readAt = claimed, consumers, now
	return nil
}

// unclaimedStreamConfig is how the stream of the unclaimed is created. It drops
// its oldest when it is full, because every event of it stands in the events'
// stream too.
func (c *Config) unclaimedStreamConfig() jetstream.StreamConfig {
	s := c.sideStream(c.unclaimedStream(), unclaimedRoot+c.Root+".>")
	s.Description = "Events that no consumer of the postback gateway's stream asks for"
	return s
}

// watchInterval is how often the metric of unclaimed subjects is brought up to
// date, and UnclaimedWhile for how long a subject counts after its last event.
const (
	watchInterval  = time.Minute
	UnclaimedWhile = 24 * time.Hour
)

// watchClaims keeps the metric until ctx ends.
func (p *Publisher) watchClaims(ctx context.Context) {
	p.every(ctx, watchInterval, "the metric of unclaimed subjects stays as it is", p.measureClaims)
}

func (p *Publisher) measureClaims(ctx context.Context) error {
	n, err := p.countUnclaimed(ctx)
	if err == nil {
		p.metrics.unclaimed.Set(float64(n))
	}
	return err
}

func (p *Publisher) countUnclaimed(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, watchInterval/2)
	defer cancel()
	s, err := p.look(ctx)
	if err != nil {
		return 0, err
	}
	found, err := Unclaimed(ctx, s.stream, p.cfg.Root, time.Now().Add(-UnclaimedWhile))
	return len(found), err
}
