package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Config is what the public listener needs to know. All fields are required
// unless they say otherwise.
type Config struct {
	// Secrets are those that the server starts with.
	Secrets
	// MetaAllowUnsigned accepts requests without a signature; a wrong one is
	// refused all the same. For tests on a closed network only.
	MetaAllowUnsigned bool
	// MaxBodyBytes is the largest body that is read; at most LargestBody.
	MaxBodyBytes int64
	// MaxInFlight is how many deliveries are worked on at once. A delivery counts
	// from when its signature has been verified: who has no secret takes no slot.
	MaxInFlight int
	// PublishTimeout bounds how long a delivery waits for the store.
	PublishTimeout time.Duration
	// IncludeRaw adds the platform's own item to every event.
	IncludeRaw bool
	// LabelLimit is how many prefixes and accounts get metric series of their
	// own; further ones are counted as "other".
	LabelLimit int
	// Tracer makes a span of every delivery; nil for no tracing, which then costs
	// nothing.
	Tracer trace.Tracer
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

// Server answers the webhooks. It is safe for concurrent use.
type Server struct {
	cfg               Config
	live              atomic.Pointer[liveSecrets]
	changing          sync.Mutex // one change of the secrets after the other
	pub               Publisher
	log               *slog.Logger
	refusals          refusalLog
	telegramRefusals  refusalLog
	handshakeRefusals rate.Sometimes
	diagnoses         *rate.Limiter // of failed signatures
	conflicts         rate.Sometimes
	metrics           *metrics
	router            *mux.Router
	slots             chan struct{}
	spent             atomic.Int64 // of readBudget
	apart             atomic.Int64 // of decodeBudget
	draining          atomic.Bool
}

// New returns a server that stores by pub and registers its metrics with reg.
func New(cfg Config, pub Publisher, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg:               cfg,
		pub:               pub,
		log:               log,
		refusals:          newRefusalLog(log, signatureHelp),
		telegramRefusals:  newRefusalLog(log, telegramHelp),
		handshakeRefusals: rate.Sometimes{Interval: refusalInterval},
		diagnoses:         rate.NewLimiter(diagnosePerSecond, diagnosePerSecond),
		conflicts:         rate.Sometimes{Interval: refusalInterval},
		metrics:           newMetrics(reg, cfg.LabelLimit),
		slots:             make(chan struct{}, cfg.MaxInFlight),
	}
	s.cfg.Secrets = Secrets{} // from here on only live tells
	if err := s.SetSecrets(cfg.Secrets); err != nil {
		return nil, err
	}
	s.router = s.routes()
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// Drain makes the server refuse every further request with 503, so that what is
// inside can finish. It returns at once; http.Server.Shutdown waits.
func (s *Server) Drain() { s.draining.Store(true) }

// methods is the route table: path, method, name in metrics, handler.
func (s *Server) methods() map[string]map[string]route {
	return map[string]map[string]route{
		"/webhooks/meta": {
			http.MethodGet:  {"meta_handshake", s.handshake},
			http.MethodPost: {"meta", s.metaDelivery},
		},
		telegramPaths + "{bot}": {
			http.MethodPost: {"telegram", s.telegramDelivery},
		},
	}
}

type route struct {
	name   string
	handle handlerFunc
}

// handlerFunc answers a request, or returns an error that becomes the answer.
type handlerFunc func(http.ResponseWriter, *http.Request) error

func (s *Server) routes() *mux.Router {
	// A cleaned path would be answered by a redirect, which no platform follows.
	router := mux.NewRouter().SkipClean(true)
	for path, methods := range s.methods() {
		for method, r := range methods {
			router.Handle(path, s.observed(r)).MatcherFunc(s.knowBot).Methods(method)
		}
		router.Handle(path, s.observed(route{"method_not_allowed", refuseMethod(methods)})).MatcherFunc(s.knowBot)
	}
	router.NotFoundHandler = s.observed(route{"not_found", func(http.ResponseWriter, *http.Request) error {
		return errNotFound
	}})
	return router
}

// observed turns the error or the panic of a handler into the answer and counts the
// request.
func (s *Server) observed(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		start := time.Now()
		status := http.StatusOK
		if err := s.handle(r, w, req); err != nil {
			p := problemOf(err)
			p.write(w)
			status = p.Status
		}
		s.metrics.requests.WithLabelValues(r.name, strconv.Itoa(status)).Inc()
		s.metrics.requestDuration.WithLabelValues(r.name, strconv.Itoa(status)).Observe(time.Since(start).Seconds())
	})
}

func (s *Server) handle(r route, w http.ResponseWriter, req *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.recovered(p, r.name)
		}
	}()
	return r.handle(w, req)
}

// recovered logs a panic and returns the error that answers the request: without
// it net/http would close the connection, and every request on it would fail.
func (s *Server) recovered(p any, place string) error {
	s.log.Error("panic while handling a request: this is a fault in the gateway, report it",
		"handler", place, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return errInternal
}

// enter lets a delivery in while there is room and refuses it at once otherwise:
// the platform delivers again, and a queue would only make it wait for a timeout.
// Who was let in calls leave.
func (s *Server) enter() error {
	select {
	case s.slots <- struct{}{}:
		s.metrics.inFlight.Inc()
		return nil
	default:
		return errBusy
	}
}

func (s *Server) leave() {
	s.metrics.inFlight.Dec()
	<-s.slots
}
