package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// setUpTimeout bounds one try at the streams. In a cluster without a leader the
// API does not answer at all.
const setUpTimeout = 3 * time.Second

// Publisher stores events. Make one with [Open]; it is safe for concurrent use.
type Publisher struct {
	cfg     Config
	options []nats.Option
	log     *slog.Logger
	metrics *metrics
	group   *groupSync // nil where an acknowledgement is enough
	keeper  *retention // nil where the stream has no bound of the gateway's
	outage  *outage
	roster  *roster

	linking     sync.Mutex           // held while a link is made, so that nothing is told of it before it is stored
	link        atomic.Pointer[link] // nil until there is a connection
	connections atomic.Int64         // that were made or restored
	online      atomic.Bool          // the connection stands; asking it can block while it reconnects
	lostAt      atomic.Int64         // when it stood last, where it does not; Unix time in nanoseconds
	setup       atomic.Pointer[setup]
	unready     *trouble        // connecting and setting up
	unusable    *trouble        // a stream that does not keep what it acknowledges
	streamLimit atomic.Int64    // largest message that the streams take, bytes; 0: no limit of their own
	complaint   *trouble        // what the server reports on its own
	remarked    map[string]bool // by stream; of establish alone, which never runs twice at a time

	kick       chan struct{} // wakes maintain; holds one
	faults     chan error    // holds one
	stop       context.CancelFunc
	background sync.WaitGroup

	mu       sync.RWMutex // guards closing against the start of a publish
	closing  bool
	underWay sync.WaitGroup
}

// setup tells whether the streams are known to be right, and else why not.
type setup struct {
	done bool
	err  error
}

// Open connects, sets the streams up and returns a Publisher. ctx bounds the
// opening only.
//
// An error is a fault of the configuration; it names the setting and shows no
// credentials. Servers that cannot be reached are no error: they are logged and
// looked for in the background, see [Publisher.Ready] and [Publisher.Err]. All
// metrics are registered with reg, so there can be one Publisher for each; a nil
// reg leaves them out.
func Open(ctx context.Context, cfg Config, logger *slog.Logger, reg prometheus.Registerer) (*Publisher, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if cfg.Relayed {
		m.cluster, m.connection = m.connection, newConnection()
	}
	return open(ctx, cfg, logger, m)
}

func open(ctx context.Context, cfg Config, logger *slog.Logger, m *metrics) (*Publisher, error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	if cfg.DataDir != "" && cfg.MaxBytes == 0 {
		logger.Warn("the free space of the disk is not known on this system, so the stream has no bound: set GATEWAY_STREAM_MAX_BYTES")
	}
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	p := &Publisher{
		cfg: cfg, log: logger, metrics: m,
		remarked: map[string]bool{},
		kick:     make(chan struct{}, 1),
		faults:   make(chan error, 1),
	}
	p.complaint = newTrouble(logger.With(slog.String("servers", cfg.where())), "NATS reports an error", "")
	p.unready = newTrouble(logger, cfg.notYet()+"; trying again", "")
	p.unusable = newTrouble(logger.With(slog.String("servers", cfg.where())),
		"stream unusable, rejecting deliveries", "streams usable again, accepting deliveries")
	p.outage = newOutage(cfg.AckTimeout, p.outageChanged)
	p.roster = newRoster(logger.With(slog.String("stream", cfg.Stream)))
	p.options = append(options, p.handlers()...)
	if cfg.Sync != nil {
		p.group = newGroupSync(cfg.Sync, m.observeSync, p.syncFailed)
	} else if cfg.Check != nil {
		p.group = newGroupSync(cfg.Check, func(time.Duration, int) {}, p.syncFailed)
	}
	if cfg.MaxBytes > 0 || cfg.Relayed {
		p.keeper = newRetention(p)
	}
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// start makes the first try and leaves what is still missing to maintain.
func (p *Publisher) start(ctx context.Context) error {
	err := p.establish(ctx)
	if isFault(err) && !p.cfg.relay {
		p.closing = true // nobody else has the Publisher yet
		p.shut()
		return err
	}
	if err != nil {
		p.unready.note(err)
		p.wake()
	}
	p.goOn(ctx)
	return nil
}

// goOn starts what works beside the deliveries.
func (p *Publisher) goOn(ctx context.Context) {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.background.Go(func() { p.maintain(background) })
	if p.keeper != nil {
		p.background.Go(func() { p.keeper.run(background) })
	}
	p.background.Go(func() { p.watchStore(background) })
	p.background.Go(func() { p.sampleStreams(background) })
	if p.cfg.Relayed {
		return // consumers are where the events are relayed to
	}
	p.background.Go(func() { p.watchClaims(background) })
	if p.cfg.Fallback {
		f := &fallback{p: p, trouble: newTrouble(p.log,
			"the fallback of unclaimed events waits, and tries again", "the fallback of unclaimed events goes on")}
		p.background.Go(func() { f.run(background) })
	}
}

func (p *Publisher) outageChanged(cause error) {
	if cause == nil {
		p.complaint.clear()
		p.log.Info("events are acknowledged again", slog.String("servers", p.cfg.where()))
		return
	}
	p.log.Warn("no event is acknowledged any more: deliveries are refused at once, but for one at a time, until one is",
		slog.String("servers", p.cfg.where()), slog.Any("error", cause))
}

// syncFailed ends the process: what the disk has lost cannot be known.
func (p *Publisher) syncFailed(err error) {
	p.fail(fmt.Errorf("events may not be on the disk (%w): check the disk; the platform delivers again what was not answered 200", err))
}

// fail ends the process. It does not wait for somebody who is told of it.
func (p *Publisher) fail(err error) {
	select {
	case p.faults <- err:
	default: // another fault ends it already
	}
}

// Err gives the error after which nothing can be stored any more: a sync that
// failed, or a fault of the configuration that came to light only after Open had
// returned, because no server could be reached before. The process should end
// with status 1.
func (p *Publisher) Err() <-chan error { return p.faults }

// Close refuses further publishes, waits for those under way, and closes the
// connection. When ctx ends first it stops waiting and returns ctx's error;
// publishes that are still under way then fail.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.stop()
	err := wait(ctx, &p.underWay)
	// Everything is acknowledged or given up, so there is nothing left to drain.
	// A connection that the background is making is closed by it.
	p.shut()
	if bgErr := wait(ctx, &p.background); bgErr != nil {
		return errors.Join(err, bgErr)
	}
	p.shut()
	return err
}

func (p *Publisher) shut() {
	if l := p.link.Load(); l != nil {
		l.nc.Close()
	}
}

func (p *Publisher) isClosing() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.closing
}

// enter counts a publish as under way. It fails once Close has begun.
func (p *Publisher) enter() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closing {
		return errClosing
	}
	p.underWay.Add(1)
	return nil
}

func (p *Publisher) isSetUp() bool {
	s := p.setup.Load()
	return s != nil && s.done
}

// current returns the connection if something can be published on it now, or in a
// moment. A disk that runs full is met here rather than by the server, which after
// a failed write takes nothing more until it is restarted.
func (p *Publisher) current() (*link, error) {
	if s := p.setup.Load(); !s.done {
		return nil, fmt.Errorf("%s: %w", p.cfg.notYet(), s.err)
	}
	if err := p.checkStreams(); err != nil {
		return nil, err
	}
	if p.group != nil {
		if err := p.group.failed(); err != nil {
			return nil, err
		}
	}
	if p.cfg.Failed != nil {
		if err := p.cfg.Failed(); err != nil {
			return nil, fmt.Errorf("%s does not store: %w", p.cfg.where(), err)
		}
	}
	// A connection that was lost a moment ago is usually back, to another server,
	// before anybody has waited for long.
	l := p.link.Load()
	if l == nil || !p.online.Load() && time.Since(time.Unix(0, p.lostAt.Load())) > p.cfg.AckTimeout {
		return nil, p.notConnected()
	}
	return l, p.checkDisk()
}

// connected returns the connection if it stands.
func (p *Publisher) connected() (*link, error) {
	l := p.link.Load()
	if l == nil || !p.online.Load() {
		return nil, p.notConnected()
	}
	return l, nil
}

func (p *Publisher) notConnected() error {
	return fmt.Errorf("not connected to %s: see that the NATS servers run and can be reached", p.cfg.where())
}

var errClosing = errors.New("the gateway is shutting down")

func wait(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the connection to NATS: %w", ctx.Err())
	}
}
