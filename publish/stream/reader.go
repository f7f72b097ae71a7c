package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
)

// Message is one that was read from a stream.
type Message struct {
	Subject  string
	Header   nats.Header
	Data     []byte
	Sequence uint64
	Time     time.Time // when it was stored

	pending uint64        // messages that the consumer has behind it
	msg     jetstream.Msg // nil if the leader returned it to a request
}

// InspectMetadata marks a consumer through which somebody only inspects events. It
// claims no events.
const InspectMetadata = "postback-gateway-look"

// ReaderConfig says what is read, and from where on. Without a start that is everything.
type ReaderConfig struct {
	Stream  string
	Filters []string

	// Sequence, Since, New and LastPerSubject are ways to start.
	Sequence       uint64
	Since          time.Time
	New            bool
	LastPerSubject bool // the last message of each subject, and then the end

	// Follow waits for new messages at the end.
	Follow      bool
	HeadersOnly bool
	// Inspects names a program that claims no events by reading them; see InspectMetadata.
	Inspects string

	// Durable makes the Reader read batches by this durable consumer.
	Durable jetstream.ConsumerConfig
	// Exclusive says that no other process reads by the durable consumer. It is reset to
	// the first message that is not acknowledged.
	Exclusive bool
	// Log is for a durable consumer that the server cannot read.
	Log *slog.Logger
}

// Reader reads messages of one stream in their order: by Next with a consumer of its own,
// by NextBatch with a durable one. A goroutine uses it at a time.
//
// A consumer alone does not deliver everything. The client takes a message without a body
// and with the header Status for one of the server's own, and anybody who publishes can
// write that: it skips such a message, or ends. A consumer can also stall, or lose
// messages with a connection. A Reader sees the gap and asks the stream's leader.
type Reader struct {
	link *natsconn.Link
	cfg  ReaderConfig

	consumer  jetstream.Consumer
	messages  jetstream.MessagesContext // nil while no consumer is read
	delivered uint64                    // messages of this consumer, by its own count
	pending   uint64                    // messages that it had at its start
	next      uint64                    // sequence to go on from
	end       uint64                    // sequence after which a Reader that does not follow ends
	fromGet   int                       // messages to request one by one before the next consumer
	failed    error                     // what is behind the batch that was returned last
}

// Open starts to read. The caller closes the Reader.
func Open(ctx context.Context, link *natsconn.Link, cfg ReaderConfig) (*Reader, error) {
	r := &Reader{link: link, cfg: cfg, next: cfg.Sequence}
	if cfg.Durable.Durable != "" {
		return r, r.openDurable(ctx)
	}
	if !cfg.Follow && !cfg.LastPerSubject {
		s, err := link.JS.Stream(ctx, cfg.Stream)
		if err != nil {
			return nil, err
		}
		// Without an end a busy stream could keep the caller here.
		r.end = s.CachedInfo().State.LastSeq
	}
	return r, r.openConsumer(ctx)
}

// Pending returns how many messages the consumer had at its start.
func (r *Reader) Pending() uint64 { return r.pending }

// Close stops reading. The server removes the consumer of a closed Reader by itself.
func (r *Reader) Close() {
	if r.messages != nil {
		r.messages.Stop()
		r.messages = nil
	}
}

// How a stream is read. readPause is the time without a message after which the leader is
// asked for more: while a cluster creates the consumer a request can be lost.
const (
	readExpiry = 10 * time.Second
	readPause  = 2 * time.Second
	readIdle   = 10 * time.Second // after which the server removes a consumer; a Reader that comes back later creates another
)

// openConsumer creates a consumer at the next sequence. The client's ordered consumer
// would be created for a message that it skips again and again.
func (r *Reader) openConsumer(ctx context.Context) error {
	cfg := jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: readIdle,
		MemoryStorage:     true,
		Replicas:          1,
		HeadersOnly:       r.cfg.HeadersOnly,
	}
	if len(r.cfg.Filters) == 1 {
		cfg.FilterSubject = r.cfg.Filters[0]
	} else {
		cfg.FilterSubjects = r.cfg.Filters
	}
	if r.cfg.Inspects != "" {
		cfg.Metadata = map[string]string{InspectMetadata: r.cfg.Inspects}
	}
	switch {
	case r.cfg.LastPerSubject:
		cfg.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	case r.next > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.next
	case !r.cfg.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &r.cfg.Since
	case r.cfg.New:
		cfg.DeliverPolicy = jetstream.DeliverNewPolicy
	}
	consumer, err := r.link.JS.CreateConsumer(ctx, r.cfg.Stream, cfg)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	r.pending, r.delivered = info.NumPending, 0
	if r.next == 0 {
		r.next = info.Delivered.Stream + 1
	}
	if r.pending == 0 && !r.cfg.Follow {
		r.fromGet = getsInARow
		return nil
	}
	var opts []jetstream.PullMessagesOpt
	if !r.cfg.Follow {
		opts = append(opts, jetstream.PullExpiry(readExpiry))
	}
	r.messages, err = consumer.Messages(opts...)
	return err
}

// Next returns the next message. At the end it returns io.EOF, or waits if the Reader
// follows. A Reader that follows also waits for a server that is away.
func (r *Reader) Next(ctx context.Context) (*Message, error) {
	for {
		m, err := r.step(ctx)
		switch {
		case m != nil && r.end > 0 && m.Sequence > r.end:
			return nil, io.EOF
		case m != nil:
			r.next = m.Sequence + 1
			return m, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && (!r.cfg.Follow || r.link.NC.IsClosed() || errors.Is(err, jetstream.ErrStreamNotFound)):
			return nil, err
		case err != nil:
			natsconn.Sleep(ctx, maxRetryPause)
		}
	}
}

// getsInARow is how many messages are requested one by one before a consumer is created
// for those that follow. The server keeps each consumer for readIdle.
const getsInARow = 100

// step returns the next message, or nil if the next step goes another way.
func (r *Reader) step(ctx context.Context) (*Message, error) {
	switch {
	case r.cfg.LastPerSubject:
		return r.lastPerSubject(ctx)
	case r.messages != nil:
		m, err := r.fromConsumer(ctx)
		if err != nil || m.pending == 0 && !r.cfg.Follow {
			r.Close()
			r.fromGet = getsInARow
		}
		return m, nil
	case r.fromGet > 0:
		r.fromGet--
		m, err := r.fromLeader(ctx)
		if m != nil {
			return m, nil
		}
		if r.fromGet = 0; err != nil {
			return nil, err
		}
		if !r.cfg.Follow {
			return nil, io.EOF
		}
	}
	return nil, r.openConsumer(ctx)
}

func (r *Reader) fromConsumer(ctx context.Context) (*Message, error) {
	if !r.cfg.Follow {
		short, cancel := context.WithTimeout(ctx, readPause)
		defer cancel()
		ctx = short
	}
	return r.receive(jetstream.NextContext(ctx), true)
}

// receive returns the next message of the consumer. If nobody else reads by it, a message
// that it has counted and that did not arrive is an error.
func (r *Reader) receive(wait jetstream.NextOpt, exclusive bool) (*Message, error) {
	msg, err := r.messages.Next(wait)
	if err != nil {
		return nil, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	if expected := r.delivered + 1; exclusive && meta.Sequence.Consumer != expected {
		return nil, fmt.Errorf("message %d was delivered and message %d was expected: what is between did not arrive", meta.Sequence.Consumer, expected)
	}
	r.delivered++
	return &Message{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data(), Sequence: meta.Sequence.Stream,
		Time: meta.Timestamp, pending: meta.NumPending, msg: msg}, nil
}

// fromLeader returns the next message as the stream's leader has it; nil if there is none.
func (r *Reader) fromLeader(ctx context.Context) (*Message, error) {
	filters := r.cfg.Filters
	if len(filters) == 0 {
		filters = []string{">"}
	}
	var first *Message
	for _, filter := range filters {
		m, err := GetMessage(ctx, r.link.NC, r.cfg.Stream, Query{Seq: r.next, Filter: filter})
		if err != nil {
			return nil, err
		}
		if m != nil && (first == nil || m.Sequence < first.Sequence) {
			first = m
		}
	}
	return first, nil
}

// lastPerSubject counts what the consumer had at its start. It cannot go on elsewhere.
func (r *Reader) lastPerSubject(ctx context.Context) (*Message, error) {
	if r.pending == 0 {
		return nil, io.EOF
	}
	r.pending--
	m, err := r.receive(jetstream.NextMaxWait(natsconn.SetupTimeout), false)
	if errors.Is(err, nats.ErrTimeout) && ctx.Err() == nil {
		return nil, io.EOF // the others were purged meanwhile
	}
	return m, err
}
