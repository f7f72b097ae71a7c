package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// SetupTimeout bounds one call of Options.Setup, and other requests of the background.
// In a cluster without a leader the JetStream API does not respond at all.
const SetupTimeout = 3 * time.Second

// Attempts to connect and set up are at least a pause apart. The pause grows up to
// maxPause and starts over after a quiet time of stable. A connection that was up for
// less counts as unstable.
const (
	minPause = 100 * time.Millisecond
	maxPause = 400 * time.Millisecond
	stable   = 2 * time.Second
)

// Options say how a connection is kept up.
type Options struct {
	Log *slog.Logger
	// Setup, if not nil, runs on each new or restored connection, and after Wake, until
	// it succeeds.
	Setup func(context.Context, *Link) error
	// Use says what a connection is for, as in "events cannot be stored yet".
	Use string
	// NewAfterLoss replaces a lost connection by a new one instead of restoring it. A
	// connection restored between two messages would deliver the second one although the
	// first one was lost.
	NewAfterLoss bool
	// Patient retries after a ConfigError too, and does not call Fatal.
	Patient bool
	// Fatal is called with a ConfigError that the background meets before the first success.
	Fatal func(error)
	// Redact, if not nil, removes what must not be logged from reports of the server.
	Redact func(string) string
	// Metrics are updated if not nil.
	Metrics *Metrics
}

// Metrics describe a connection.
type Metrics struct {
	Connected  prometheus.Gauge
	Reconnects prometheus.Counter

	made bool // a connection, before
}

func (m *Metrics) set(online bool) {
	if !online {
		m.Connected.Set(0)
		return
	}
	m.Connected.Set(1)
	if m.made {
		m.Reconnects.Inc()
	}
	m.made = true
}

// Link is one connection and its JetStream context. It outlives reconnects of the client.
type Link struct {
	NC *nats.Conn
	JS jetstream.JetStream
}

// Conn keeps up a connection. Make one with [Connect]; it is safe for concurrent use.
type Conn struct {
	cfg     Config
	opts    Options
	options []nats.Option

	mu     sync.Mutex // held while a connection is made, so that handlers see it stored
	link   atomic.Pointer[Link]
	online atomic.Bool  // asking the client instead can block while it reconnects
	lostAt atomic.Int64 // Unix nanoseconds
	flaps  flapLog

	setupErr atomic.Pointer[error] // why the first setup has not succeeded; points to nil once it has
	retrying *LastError
	// Reports has what the server reports on its own.
	Reports *LastError

	wake       chan struct{} // holds one
	ctx        context.Context
	stop       context.CancelFunc
	background sync.WaitGroup
}

// Connect makes the first attempt and leaves the rest to the background. An error is a
// [ConfigError]; servers that cannot be reached are not an error. ctx bounds the attempt.
func Connect(ctx context.Context, cfg Config, o Options) (*Conn, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	log := o.Log.With(slog.String("servers", cfg.Where()))
	c := &Conn{
		cfg: cfg, opts: o,
		retrying: NewLastError(o.Log, "events cannot be "+o.Use+" yet; trying again", ""),
		Reports:  NewLastError(log, "NATS reports an error", ""),
		wake:     make(chan struct{}, 1),
	}
	c.flaps.log = log
	c.options = append(append(options, nats.Name("postback-gateway")), c.handlers()...)
	if o.NewAfterLoss {
		c.options = append(c.options, nats.NoReconnect())
	}
	c.ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := c.establish(ctx); err != nil {
		if c.isFatal(err) {
			_ = c.Close(ctx)
			return nil, err
		}
		c.retrying.Set(err)
		c.Wake()
	}
	c.background.Go(c.run)
	return c, nil
}

// Dial connects once, for a client that reads the streams. name is shown in the server's
// monitoring. The caller closes the connection.
func Dial(cfg Config, name string) (*Link, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	return cfg.dial(append(options, nats.Name(name)))
}

func (c *Config) dial(options []nats.Option) (*Link, error) {
	nc, err := nats.Connect(c.Servers, options...)
	if err != nil {
		return nil, c.explain(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &Link{nc, js}, nil
}

// Wake has the background connect and set up again, if that is needed.
func (c *Conn) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run connects and sets up whenever it is woken. A pause between two attempts holds
// whoever wakes it: a server can accept connections and drop them at once.
func (c *Conn) run() {
	var pause time.Duration
	ended := time.Now()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		}
		if time.Since(ended) > stable {
			pause = 0
		}
		if pause > 0 {
			Sleep(c.ctx, pause+rand.N(pause))
		}
		pause = min(max(2*pause, minPause), maxPause)
		if err := c.establish(c.ctx); err != nil && c.ctx.Err() == nil {
			if c.isFatal(err) {
				c.opts.Fatal(err)
				return
			}
			c.retrying.Set(err)
			c.Wake()
		}
		ended = time.Now()
	}
}

// establish connects and runs Setup, once.
func (c *Conn) establish(ctx context.Context) error {
	err := c.tryEstablish(ctx)
	if err == nil {
		c.setupErr.Store(new(error))
		c.retrying.Clear()
	} else if c.SetupErr() != nil {
		c.setupErr.Store(&err)
	}
	return err
}

func (c *Conn) tryEstablish(ctx context.Context) error {
	link := c.link.Load()
	if link == nil {
		var err error
		if link, err = c.connect(); err != nil {
			return err
		}
	}
	if !link.NC.IsConnected() {
		return errors.New("the connection to NATS is lost")
	}
	if c.opts.Setup == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, SetupTimeout)
	defer cancel()
	return c.opts.Setup(ctx, link)
}

// connect makes a connection and stores it.
func (c *Conn) connect() (*Link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	link, err := c.cfg.dial(c.options)
	if err != nil {
		return nil, err
	}
	c.link.Store(link)
	c.setOnline(true)
	c.flaps.connected("connected to NATS", slog.String("server", link.NC.ConnectedServerName()))
	return link, nil
}

var errNoSetup = errors.New("not connected yet")

// SetupErr returns why Setup has not succeeded so far; nil once it has.
func (c *Conn) SetupErr() error {
	if err := c.setupErr.Load(); err != nil {
		return *err
	}
	return errNoSetup
}

// isFatal reports whether a retry is pointless. A running gateway waits for the operator.
func (c *Conn) isFatal(err error) bool {
	return IsConfigError(err) && c.SetupErr() != nil && !c.opts.Patient
}

// Link returns the connection if it is up.
func (c *Conn) Link() (*Link, error) { return c.LinkWithin(0) }

// LinkWithin also returns a connection that was lost less than grace ago: it is usually
// restored, to another server, before a caller has waited for long.
func (c *Conn) LinkWithin(grace time.Duration) (*Link, error) {
	link := c.link.Load()
	if link == nil || !c.online.Load() && time.Since(time.Unix(0, c.lostAt.Load())) >= grace {
		return nil, fmt.Errorf("not connected to %s: see that the NATS servers run and can be reached", c.Where())
	}
	return link, nil
}

// Online reports whether the connection is up.
func (c *Conn) Online() bool { return c.online.Load() }

// Where names the servers, without credentials.
func (c *Conn) Where() string { return c.cfg.Where() }

// Close closes the connection and waits for the background, no longer than ctx lasts.
func (c *Conn) Close(ctx context.Context) error {
	c.stop()
	c.link.Load().close()
	err := Wait(ctx, &c.background)
	c.link.Load().close() // one that the background was making
	return err
}

func (l *Link) close() {
	if l != nil {
		l.NC.Close()
	}
}
