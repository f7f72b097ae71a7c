package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
)

// MaxBatch and maxBatchBytes bound one batch. All messages of a batch are in flight
// within a moment, so a cluster that changes its leader stores a part from the beginning
// and not one from the end.
const (
	MaxBatch      = 512
	maxBatchBytes = 4 << 20
)

// batchWait is how long a batch that has begun waits for a next message that is announced.
const batchWait = 100 * time.Millisecond

// openDurable finds or creates the durable consumer. If it is exclusive it starts at the
// first message that is not acknowledged. Otherwise the server would send what was
// delivered and not acknowledged again much later, and behind newer messages.
func (r *Reader) openDurable(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
	defer cancel()
	if r.consumer, err = ensureConsumer(ctx, r.link, &r.cfg); err != nil || !r.cfg.Exclusive {
		return err
	}
	reset, err := r.link.JS.ResetConsumer(ctx, r.cfg.Stream, r.cfg.Durable.Durable)
	if err == nil {
		r.next = reset.ResetSeq
	}
	return err
}

// ensureConsumer returns the durable consumer and creates it if need be.
//
// A power cut can leave a state file that the server cannot read. The server then knows
// no such consumer, so nobody can delete it, and refuses to create it again because of
// the file. A consumer in memory needs no file. It has the same name, so the retention
// and the metrics find it, and it lasts until the server restarts. Messages that the lost
// consumer had acknowledged are read again.
func ensureConsumer(ctx context.Context, link *natsconn.Link, cfg *ReaderConfig) (jetstream.Consumer, error) {
	consumer, err := link.JS.CreateOrUpdateConsumer(ctx, cfg.Stream, cfg.Durable)
	if code := errorCode(err); code != errCodeConsumerCreate && code != errCodeConsumerStore {
		return consumer, err
	}
	inMemory := cfg.Durable
	inMemory.MemoryStorage = true
	consumer, memoryErr := link.JS.CreateOrUpdateConsumer(ctx, cfg.Stream, inMemory)
	if memoryErr != nil {
		return nil, errors.Join(err, memoryErr)
	}
	cfg.Log.Warn("the server cannot read a consumer: it is kept in memory until the server is restarted, and reads again what it has read",
		slog.String("stream", cfg.Stream), slog.String("consumer", inMemory.Durable), slog.Any("error", err))
	return consumer, nil
}

// NextBatch waits for a message and returns it with those that are there already. An
// error ends the Reader.
func (r *Reader) NextBatch(ctx context.Context) ([]*Message, error) {
	if r.failed != nil {
		return nil, r.failed
	}
	if r.messages == nil {
		switch m, err := r.openBatches(ctx); {
		case err != nil:
			return nil, err
		case m != nil:
			return []*Message{m}, nil
		}
	}
	var batch []*Message
	most := MaxBatch
	if n := r.cfg.Durable.MaxAckPending; n > 0 { // the server sends no more at a time
		most = min(most, n)
	}
	for size := 0; len(batch) < most && size < maxBatchBytes; {
		wait := jetstream.NextMaxWait(batchWait)
		if len(batch) == 0 {
			wait = jetstream.NextContext(ctx)
		}
		m, err := r.receive(wait, r.cfg.Exclusive)
		switch {
		case errors.Is(err, nats.ErrTimeout):
			return batch, nil
		case err != nil && len(batch) > 0:
			r.failed = err
			return batch, nil
		case err != nil:
			return nil, err
		case r.cfg.Exclusive && m.Sequence < r.next:
			continue // sent again, and here already
		}
		r.next = m.Sequence + 1
		size += len(m.Data)
		if batch = append(batch, m); m.pending == 0 {
			break
		}
	}
	return batch, nil
}

// openBatches starts to read by the consumer. If the client would swallow the first
// message it returns that one instead.
//
// The client asks for the next batch when the last one was read. It drops what does not
// fit into a buffer of that size, and the server's status messages take places there too.
func (r *Reader) openBatches(ctx context.Context) (*Message, error) {
	if r.cfg.Exclusive {
		short, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
		defer cancel()
		m, err := GetMessage(short, r.link.NC, r.cfg.Stream, Query{Seq: r.next, Filter: ">"})
		if err != nil || m != nil && m.looksLikeStatus() {
			return m, err
		}
	}
	var err error
	r.messages, err = r.consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(MaxBatch, maxBatchBytes), jetstream.PullThresholdMessages(1))
	return nil, err
}

// Ack acknowledges a batch. For an exclusive consumer it waits for the server, so that
// a restart does not read the batch again.
func (r *Reader) Ack(ctx context.Context, batch []*Message) error {
	if !r.cfg.Exclusive {
		for _, m := range batch {
			if err := m.msg.Ack(); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
	defer cancel()
	last := batch[len(batch)-1]
	if last.msg != nil {
		return last.msg.DoubleAck(ctx)
	}
	reset, err := r.link.JS.ResetConsumerToSequence(ctx, r.cfg.Stream, r.cfg.Durable.Durable, last.Sequence+1)
	if err == nil {
		r.next = reset.ResetSeq
	}
	return err
}

// Follower reads batches again and again.
type Follower struct {
	Name   string // of the stream, for the error
	Last   *natsconn.LastError
	Open   func(context.Context) (*Reader, error)
	Handle func(context.Context, []*Message) error
	Acked  func(n int) // called for each batch; can be nil
}

// Run passes batches to Handle until ctx ends. After an error it opens another Reader.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.read(ctx); ctx.Err() == nil {
			f.Last.Set(fmt.Errorf("%s cannot be read: %w", f.Name, err))
			natsconn.Sleep(ctx, maxRetryPause)
		}
	}
}

func (f *Follower) read(ctx context.Context) error {
	r, err := f.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		batch, err := r.NextBatch(ctx)
		if err != nil {
			return err
		}
		if err := f.Handle(ctx, batch); err != nil {
			return err
		}
		if err := r.Ack(ctx, batch); err != nil {
			return err
		}
		if f.Acked != nil {
			f.Acked(len(batch))
		}
	}
}
