package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Config says what is connected to, and what is watched.
type Config struct {
	NATS       natsconn.Config
	Streams    stream.Settings
	AckTimeout time.Duration
	// DataDir is on the disk that is watched; empty for none.
	DataDir string
	// Use, NewAfterLoss, Patient and Fatal are those of natsconn.Options.
	Use                   string
	NewAfterLoss, Patient bool
	Fatal                 func(error)
	// Purged, if not nil, is called after a purge and waits until its effects are durable.
	Purged func(context.Context) error
	// Store and Servers are updated if not nil.
	Store   *StoreMetrics
	Servers *ServerMetrics
	Log     *slog.Logger
}

// Monitor watches the gateway's streams on one server or cluster. Make one with [Open]; it
// is safe for concurrent use.
type Monitor struct {
	Conn    *natsconn.Conn
	Streams *stream.Streams

	cfg Config
	// retentions have one for each stream that rejects when it is full; none if the gateway
	// does not purge.
	retentions map[*stream.Spec]*retention

	turn     chan struct{} // held while a sample is taken: a lock with a context
	snapshot atomic.Pointer[Snapshot]
	unusable *natsconn.LastError
	unread   *natsconn.LastError
	givenUp  givenUpPosition

	tasks
	ctx  context.Context
	stop context.CancelFunc
}

// Open connects, creates and checks the streams, and starts to watch them. The error is a
// *natsconn.ConfigError; everything else is retried in the background.
func Open(ctx context.Context, cfg Config) (*Monitor, error) {
	log := cfg.Log.With(slog.String("stream", cfg.Streams.Stream))
	servers := cfg.Log.With(slog.String("servers", cfg.NATS.Where()))
	m := &Monitor{
		Streams:  stream.New(cfg.Streams, cfg.NATS.Where(), cfg.Log),
		cfg:      cfg,
		turn:     make(chan struct{}, 1),
		unusable: natsconn.NewLastError(servers, "stream unusable, rejecting deliveries", "streams usable again, accepting deliveries"),
		unread:   natsconn.NewLastError(log, "the settings of the streams cannot be read", ""),
	}
	first := &Snapshot{}
	first.Disk, first.DiskErr = sampleDisk(cfg.DataDir)
	m.snapshot.Store(first)
	options := natsconn.Options{
		Log: cfg.Log, Setup: m.Streams.Setup, Use: cfg.Use,
		NewAfterLoss: cfg.NewAfterLoss, Patient: cfg.Patient, Fatal: cfg.Fatal, Redact: natsconn.HideSubjects(cfg.Streams.Root),
	}
	if cfg.Servers != nil {
		options.Metrics = &cfg.Servers.Metrics
	}
	var err error
	if m.Conn, err = natsconn.Connect(ctx, cfg.NATS, options); err != nil {
		return nil, err
	}
	m.ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	m.tasks.log, m.online = log, m.Conn.Online
	m.addTasks()
	m.background.Go(m.run)
	return m, nil
}

// addTasks adds what the metrics and the retention need.
func (m *Monitor) addTasks() {
	if m.cfg.Streams.MaxBytes > 0 || m.cfg.Streams.Relayed {
		m.retentions = make(map[*stream.Spec]*retention)
		for _, spec := range m.cfg.Streams.Specs() {
			if spec.RejectsWhenFull {
				r := newRetention(m, spec)
				m.retentions[spec] = r
				m.Every(retentionInterval, "acknowledged events cannot be purged", r.run)
			}
		}
	}
	if m.cfg.Store != nil || m.cfg.Servers != nil {
		m.Every(consumersInterval, "the metrics of the store stay as they are", m.sampleConsumers)
	}
	if m.cfg.Servers != nil {
		m.Every(consumersInterval, "the metric of given-up events stays as it is", m.sampleGivenUp)
		m.Every(unclaimedInterval, "the metric of unclaimed subjects stays as it is", m.sampleUnclaimed)
	}
}

// Close stops the background and closes the connection, no later than ctx ends.
func (m *Monitor) Close(ctx context.Context) error {
	m.stop()
	if err := m.Conn.Close(ctx); err != nil {
		return err
	}
	return natsconn.Wait(ctx, &m.background)
}

// The streams and the disk are sampled at sampleInterval. If somebody makes a stream one
// that loses what it acknowledges, deliveries are answered 200 for that long at most.
// While something is wrong or near its limit the interval is fastInterval.
const (
	sampleInterval = 500 * time.Millisecond
	fastInterval   = 100 * time.Millisecond
)

// run is the sampler.
func (m *Monitor) run() {
	for m.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(m.ctx, natsconn.SetupTimeout)
		snapshot, err := m.Refresh(ctx)
		cancel()
		if m.ctx.Err() != nil {
			return
		}
		m.note(m.unread, ignoreConfigError(err))
		m.runDue(m.ctx)
		interval := sampleInterval
		if snapshot.atLimit() {
			interval = fastInterval
		}
		natsconn.Sleep(m.ctx, interval)
	}
}

// ignoreConfigError drops errors that the snapshot has: they are logged with it.
func ignoreConfigError(err error) error {
	if natsconn.IsConfigError(err) {
		return nil
	}
	return err
}

// Check returns why the streams do not keep what they acknowledge, or are not there yet.
func (m *Monitor) Check() error {
	if err := m.Conn.SetupErr(); err != nil {
		return fmt.Errorf("events cannot be %s yet: %w", m.cfg.Use, err)
	}
	return m.snapshot.Load().Unusable
}

// Link returns the connection, if something can be stored on it now. One that was lost
// less than the acknowledgement timeout ago is about to be restored.
func (m *Monitor) Link() (*natsconn.Link, error) {
	link, err := m.Conn.LinkWithin(m.cfg.AckTimeout)
	if err != nil {
		return nil, err
	}
	return link, m.snapshot.Load().DiskErr
}

// Ready takes a new sample and returns why no event can be stored.
func (m *Monitor) Ready(ctx context.Context) error {
	if err := m.Check(); err != nil {
		return err
	}
	if _, err := m.Conn.Link(); err != nil {
		return err
	}
	s, err := m.Refresh(ctx)
	if err != nil {
		return err
	}
	if s.DiskErr != nil {
		return s.DiskErr
	}
	for spec, info := range s.rejecting() {
		err := stream.CheckRoom(info, m.Streams.Limit())
		if r := m.retentions[spec]; err != nil && r != nil {
			return fmt.Errorf("%w (what cannot be purged: %s)", err, r.heldBy())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// MakeRoom purges from the stream that has rejected an event, and reports whether it has
// room now.
func (m *Monitor) MakeRoom(ctx context.Context, name string) bool {
	for spec, r := range m.retentions {
		if m.Streams.Name(spec) == name {
			room, err := r.makeRoom(ctx, true)
			return room && err == nil
		}
	}
	return false
}
