package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Consumer is what a durable consumer has still to acknowledge.
type Consumer struct {
	Name    string
	Pending uint64
	First   uint64    // sequence of the first of these events; after the stream's last if there are none
	Since   time.Time // when that one was stored; zero if there are none
}

// String says which consumer holds events.
func (c Consumer) String() string {
	if c.Name == "" {
		return "no durable consumer acknowledges events"
	}
	return fmt.Sprintf("consumer %s has %d events to acknowledge", c.Name, c.Pending)
}

// consumersInterval is how often the metrics of consumers are updated. It costs two
// requests, and one more for each filter of a durable consumer that is behind.
const consumersInterval = 10 * time.Second

func (m *Monitor) sampleConsumers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
	defer cancel()
	s, err := m.eventStream(ctx)
	if err != nil {
		return fmt.Errorf("stream %s: %w", m.Streams.Stream, err)
	}
	consumers, err := m.consumers(ctx, s)
	if err != nil {
		return fmt.Errorf("consumers of stream %s: %w", m.Streams.Stream, err)
	}
	if m.cfg.Store != nil {
		m.cfg.Store.held.Set(m.held(s, consumers))
	}
	if m.cfg.Servers != nil {
		m.cfg.Servers.setConsumers(consumers, time.Now())
	}
	return nil
}

// held returns how many bytes of the stream the retention cannot purge, by the events'
// mean size. Without a retention these are all.
func (m *Monitor) held(s *eventStream, consumers []Consumer) float64 {
	bytes, span := float64(s.state.Bytes), float64(s.state.LastSeq)+1-float64(s.state.FirstSeq)
	if m.retentions[stream.Events] == nil || s.config.Retention != jetstream.LimitsPolicy || span <= 0 {
		return bytes
	}
	first := min(max(s.slowest(consumers).First, s.state.FirstSeq), s.state.LastSeq+1)
	return bytes * float64(s.state.LastSeq+1-first) / span
}

// consumers lists what holds events in the stream. The relay is known by name: while its
// consumer is missing, nothing counts as moved.
func (m *Monitor) consumers(ctx context.Context, s *eventStream) ([]Consumer, error) {
	all, err := s.consumers(ctx)
	if err != nil {
		return nil, err
	}
	isRelay := func(c Consumer) bool { return c.Name == stream.RelayConsumer }
	if m.cfg.Streams.Relayed && !slices.ContainsFunc(all, isRelay) {
		all = append(all, Consumer{Name: stream.RelayConsumer, Pending: s.state.Msgs, First: s.state.FirstSeq})
	}
	return all, nil
}

// eventStream is a stream of events and its state at one moment.
type eventStream struct {
	jetstream.Stream
	config *jetstream.StreamConfig
	state  *jetstream.StreamState
}

func (m *Monitor) eventStream(ctx context.Context) (*eventStream, error) {
	return m.openStream(ctx, stream.Events)
}

func (m *Monitor) openStream(ctx context.Context, spec *stream.Spec) (*eventStream, error) {
	link, err := m.Conn.Link()
	if err != nil {
		return nil, err
	}
	s, err := link.JS.Stream(ctx, m.Streams.Name(spec))
	if err != nil {
		return nil, err
	}
	info := s.CachedInfo()
	return &eventStream{s, &info.Config, &info.State}, nil
}

// firstFrom returns the first message from a sequence on that a filter matches; nil if
// there is none.
func (s *eventStream) firstFrom(ctx context.Context, sequence uint64, filter string) (*jetstream.RawStreamMsg, error) {
	m, err := s.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject(filter))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	return m, err
}

var errNotListed = errors.New("the others are missing from the list")

// consumers lists the durable consumers. One whose server is away is missing from the
// list, and nobody knows what it has to acknowledge: that is an error.
func (s *eventStream) consumers(ctx context.Context) ([]Consumer, error) {
	var all []Consumer
	listed := 0
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		listed++
		if info.Config.Durable == "" {
			continue
		}
		c, err := s.consumer(ctx, info)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if err := list.Err(); err != nil || listed < s.state.Consumers {
		return nil, fmt.Errorf("%d of %d consumers of stream %s answer (%w): see that the servers that hold them run",
			listed, s.state.Consumers, s.config.Name, cmp.Or(err, errNotListed))
	}
	return all, nil
}

// slowest returns the consumer whose events begin first. Without a durable consumer it has
// no name and begins with the first event.
func (s *eventStream) slowest(consumers []Consumer) Consumer {
	if len(consumers) == 0 {
		return Consumer{First: s.state.FirstSeq}
	}
	return slices.MinFunc(consumers, func(a, b Consumer) int { return cmp.Compare(a.First, b.First) })
}

// consumer asks for the messages that a consumer's filters match: the acknowledgements of
// a consumer with a narrow filter end far behind. A replica that lags may not know these
// messages; then they begin where the consumer says.
//
// The server counts a message as pending a little later than it acknowledges it. So a
// count of 0 says nothing about what was stored after the last delivery. It does up to
// there: a message that was delivered as often as the consumer allows is not counted, and
// stays behind the acknowledgements.
func (s *eventStream) consumer(ctx context.Context, info *jetstream.ConsumerInfo) (Consumer, error) {
	c := Consumer{Name: info.Name, Pending: info.NumPending + uint64(info.NumAckPending)}
	floor := info.AckFloor.Stream + 1
	none := s.state.LastSeq + 1
	if c.Pending == 0 {
		floor = max(floor, info.Delivered.Stream+1)
	} else {
		none = floor
	}
	if c.First = none; floor > s.state.LastSeq {
		return c, nil
	}
	c.First = math.MaxUint64
	for _, filter := range filters(&info.Config) {
		m, err := s.firstFrom(ctx, floor, filter)
		if err != nil {
			return c, err
		}
		if m != nil && m.Sequence < c.First {
			c.First, c.Since, c.Pending = m.Sequence, m.Time, max(c.Pending, 1)
		}
	}
	if c.First == math.MaxUint64 {
		c.First = none
	}
	return c, nil
}

// filters returns the subjects that a consumer receives.
func filters(c *jetstream.ConsumerConfig) []string {
	switch {
	case len(c.FilterSubjects) > 0:
		return c.FilterSubjects
	case c.FilterSubject != "":
		return []string{c.FilterSubject}
	default:
		return []string{">"}
	}
}
