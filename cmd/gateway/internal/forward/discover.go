package forward

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// sampleInterval is how often the stream is sampled for the metrics. It also finds the
// accounts that follow has missed.
const sampleInterval = time.Second

// run starts a queue for each account with deliveries, until ctx ends.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		sampling, cancel := context.WithTimeout(ctx, natsconn.SetupTimeout)
		err := w.sample(ctx, sampling)
		cancel()
		switch {
		case err == nil:
			w.unread.Clear()
		case ctx.Err() == nil && w.cfg.Streams.Conn.Online():
			w.unread.Set(err)
		}
		natsconn.Sleep(ctx, sampleInterval)
	}
}

// highWater is the part of the stream's bound above which a delivery that the bot does not
// accept becomes a dead letter at once. At the bound itself the server would drop it.
const highWater = 0.9

// sample updates the metrics. running is the context of the queues that it starts.
func (w *worker) sample(running, ctx context.Context) error {
	link, err := w.cfg.Streams.Conn.Link()
	if err != nil {
		return err
	}
	s, err := link.JS.Stream(ctx, w.stream())
	if err != nil {
		return err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(w.filter()))
	if err != nil {
		return err
	}
	w.full.Store(info.Config.MaxBytes > 0 && float64(info.State.Bytes) > highWater*float64(info.Config.MaxBytes))
	pending, lag := uint64(0), time.Duration(0)
	for subject, n := range info.State.Subjects {
		pending += n
		w.start(running, subject)
	}
	if pending > 0 {
		first, err := stream.GetMessage(ctx, link.NC, w.stream(), stream.Query{Seq: 1, Filter: w.filter()})
		if err != nil {
			return err
		}
		if first != nil {
			lag = time.Since(first.Time)
		}
	}
	w.metrics.pending.Set(float64(pending))
	w.metrics.lag.Set(lag.Seconds())
	return nil
}

// follow starts a queue as soon as the first delivery of an account is stored.
func (w *worker) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.followOnce(ctx); ctx.Err() == nil && err != nil {
			natsconn.Sleep(ctx, sampleInterval) // run logs why
		}
	}
}

func (w *worker) followOnce(ctx context.Context) error {
	link, err := w.cfg.Streams.Conn.Link()
	if err != nil {
		return err
	}
	r, err := stream.Open(ctx, link, stream.ReaderConfig{
		Stream: w.stream(), Filters: []string{w.filter()}, New: true, Follow: true, HeadersOnly: true, Inspects: "forward",
	})
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		m, err := r.Next(ctx)
		if err != nil {
			return err
		}
		w.start(ctx, m.Subject)
	}
}

// start starts the queue of an account unless it runs.
func (w *worker) start(ctx context.Context, subject string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queues[subject] || ctx.Err() != nil {
		return
	}
	w.queues[subject] = true
	w.done.Go(func() {
		newQueue(w, subject).run(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.queues, subject)
	})
}

func (w *worker) stream() string { return w.cfg.Streams.Streams.Name(stream.Deliveries) }

// filter matches the subjects of all deliveries to the target.
func (w *worker) filter() string {
	root := w.cfg.Streams.Streams.Root
	if w.target.Account == "" {
		return schema.DeliveryRoot + root + "." + w.target.Webhook + ".*"
	}
	return schema.DeliverySubject(root, w.target.Webhook, w.target.Account)
}
