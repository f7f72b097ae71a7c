package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/postback-gateway/gateway/schema"
)

// Config configures a [Server]. All fields are required unless they say otherwise.
type Config struct {
	// Secrets are the secrets to start with; see [Server.SetSecrets].
	Secrets
	// MetaAllowUnsigned accepts requests without a signature; a wrong signature is
	// still rejected. For tests on a closed network only.
	MetaAllowUnsigned bool
	// MaxBodyBytes is the size of the largest body that is accepted; at most
	// LargestBody.
	MaxBodyBytes int64
	// MaxInFlight is how many deliveries are processed at once. Further ones wait for a
	// slot for a moment and are then answered 503. Unauthenticated requests never occupy
	// or wait for a slot.
	MaxInFlight int
	// PublishTimeout limits how long a delivery waits for the store.
	PublishTimeout time.Duration
	// IncludeRaw adds the platform's own item to every event.
	IncludeRaw bool
	// StoreOther makes events of all well-formed items that are not clicks, instead of
	// counting them as ignored.
	StoreOther bool
	// TelegramAnswer answers a Telegram callback in the webhook's response, so that the
	// button stops showing its progress bar.
	TelegramAnswer bool
	// Forward lists the webhooks whose deliveries are stored whole too, for an existing
	// bot: meta, or telegram/ and the name of a bot.
	Forward []string
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// LabelLimit is how many prefixes and accounts get their own metric series;
	// further ones are counted as "other".
	LabelLimit int
	// Tracer starts a span for every delivery. nil turns tracing off, at no cost.
	Tracer trace.Tracer
	// Observer sees what becomes of requests. nil: nobody does.
	Observer Observer
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (c *Config) check() error {
	switch {
	case c.MaxBodyBytes <= 0, c.MaxInFlight <= 0, c.PublishTimeout <= 0:
		return errors.New("MaxBodyBytes, MaxInFlight and PublishTimeout have to be positive")
	case c.MaxBodyBytes > LargestBody:
		return fmt.Errorf("MaxBodyBytes is %d: a body of that size could never be read; expected at most %d", c.MaxBodyBytes, LargestBody)
	}
	return c.Secrets.check(c.MetaAllowUnsigned)
}

// Publisher stores the items of a delivery. It is the only thing that this package needs
// from the store.
//
// Publish stores the items in their order. It returns when the store has confirmed every
// one of them, or when ctx ends. It returns one outcome for each item, in the same order,
// also with an error.
//
// A nil error promises that every item survives whatever the store's mode promises to
// survive, so the delivery can be answered 200. With an error, at least one outcome is
// schema.Failed. Publishing the same items again is safe, because the store recognizes
// them by their ids. The error is for the log: it can name servers and streams.
//
// It has to be safe for concurrent use.
type Publisher interface {
	Publish(ctx context.Context, items []schema.Item) ([]schema.Outcome, error)
}

// Server answers the webhooks. It is safe for concurrent use.
type Server struct {
	cfg       Config
	publisher Publisher
	log       *slog.Logger
	metrics   *metrics
	router    *mux.Router
	hooks     map[string]*webhook // by name
	exact     map[string]*webhook // by path, of those without a variable in it

	secrets      atomic.Pointer[liveSecrets]
	secretsMutex sync.Mutex // held by SetSecrets
	diagnoses    *rate.Limiter
	activity     activity
	deadlines    deadlines

	rejections   map[*rejection]*rejectionLog
	handshakeLog rate.Sometimes // of handshakes with a wrong token
	hints        hints
	busyLog      rate.Sometimes // of deliveries that got no slot or no memory

	slots        *slots
	readMemory   atomic.Int64 // reserved out of readBudget
	decodeMemory atomic.Int64 // reserved out of decodeBudget
}

// New returns a server that stores deliveries with publisher and registers its
// metrics with reg.
func New(cfg Config, publisher Publisher, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	return newServer(cfg, publisher, log, reg, webhooks)
}

func newServer(cfg Config, publisher Publisher, log *slog.Logger, reg prometheus.Registerer, hooks []webhook) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg:          cfg,
		publisher:    publisher,
		log:          log,
		metrics:      newMetrics(reg, cfg.LabelLimit),
		router:       mux.NewRouter(),
		hooks:        make(map[string]*webhook, len(hooks)),
		exact:        make(map[string]*webhook, len(hooks)),
		diagnoses:    rate.NewLimiter(diagnosesPerSecond, diagnosesPerSecond),
		rejections:   make(map[*rejection]*rejectionLog),
		handshakeLog: rate.Sometimes{Interval: logInterval},
		busyLog:      rate.Sometimes{Interval: logInterval},
		hints:        newHints(),
		deadlines:    deadlines{timeout: cfg.PublishTimeout},
	}
	s.slots = newSlots(cfg.MaxInFlight, s.metrics)
	s.activity.since = cfg.Now().UTC().Truncate(time.Millisecond)
	for i := range hooks {
		s.addWebhook(&hooks[i])
	}
	s.cfg.Secrets = Secrets{} // from now on s.secrets holds them
	return s, s.SetSecrets(cfg.Secrets)
}

func (s *Server) addWebhook(hook *webhook) {
	s.hooks[hook.name] = hook
	s.router.Path(hook.path).Name(hook.name)
	if hook.account == "" {
		s.exact[hook.path] = hook
	}
	for _, rejected := range hook.rejections {
		s.rejections[rejected] = &rejectionLog{
			counter: s.metrics.signatureFailures.WithLabelValues(hook.name, rejected.reason),
			lines:   rate.Sometimes{Interval: logInterval},
		}
	}
}
