package forward

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/schema"
)

// Target is a bot.
type Target struct {
	Webhook string // meta or telegram
	Account string // the name of the bot in the webhook's path; empty for the whole webhook
	URL     string
}

// Name is the target's label in metrics and logs.
func (t *Target) Name() string {
	if t.Account == "" {
		return t.Webhook
	}
	return t.Webhook + "/" + t.Account
}

// Store stores dead letters.
type Store interface {
	Publish(ctx context.Context, items []schema.Item) ([]schema.Outcome, error)
}

// Config is that of a [Forwarder].
type Config struct {
	Targets []Target
	// Token returns the current secret token of a Telegram bot: dead letters have none.
	Token func(bot string) string
	// MaxAge is how long a delivery is tried before it becomes a dead letter.
	MaxAge time.Duration
	// Streams are where the deliveries are stored. They were opened with Forward.
	Streams *monitor.Monitor
	Store   Store
	Metrics *Metrics
	Log     *slog.Logger
}

// Forwarder posts deliveries until it is closed. Make one with [Start].
type Forwarder struct {
	stop  context.CancelFunc // no further attempts
	abort context.CancelFunc // attempts in progress end too
	done  sync.WaitGroup
}

// Start begins with what waits in the stream.
func Start(cfg Config) *Forwarder {
	f := &Forwarder{}
	var aborted, stopped context.Context
	aborted, f.abort = context.WithCancel(context.Background())
	stopped, f.stop = context.WithCancel(aborted)
	client := newClient()
	for _, t := range cfg.Targets {
		name := t.Name()
		w := &worker{
			target: t, cfg: &cfg, client: client, aborted: aborted, done: &f.done,
			metrics: cfg.Metrics.of(name),
			log:     cfg.Log.With(slog.String("webhook", name)),
			slots:   make(chan struct{}, maxInFlight),
			queues:  make(map[string]bool),
		}
		w.unread = natsconn.NewLastError(w.log, "deliveries to forward cannot be read", "deliveries to forward can be read again")
		f.done.Go(func() { w.run(stopped) })
		f.done.Go(func() { w.follow(stopped) })
	}
	return f
}

// Close starts no further attempt and waits for those in progress. If ctx ends first they
// are cut off: then nobody knows whether the bot has processed the delivery, and the next
// start posts it again.
func (f *Forwarder) Close(ctx context.Context) error {
	f.stop()
	defer f.abort()
	if err := natsconn.Wait(ctx, &f.done); err != nil {
		return errors.New("attempts to forward a delivery were cut off: the bot can get these deliveries twice")
	}
	return nil
}

// maxInFlight is how many deliveries of one target are posted at once.
const maxInFlight = 16

// worker works for one target.
type worker struct {
	target  Target
	cfg     *Config
	client  *http.Client
	metrics targetMetrics
	log     *slog.Logger
	aborted context.Context
	done    *sync.WaitGroup
	slots   chan struct{}
	unread  *natsconn.LastError
	method  sync.Once // guards a log line
	full    flag

	mu     sync.Mutex
	queues map[string]bool // by subject: those that run
}
