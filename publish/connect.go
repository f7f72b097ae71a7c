package publish

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How often what failed in the background is tried again.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 400 * time.Millisecond
)

// maxPending is the library's bound of unacknowledged messages. It is far above
// what callers can have under way (window each), since at the bound publishing fails.
const maxPending = 1 << 20

// link is one connection and what is used of it. It outlives reconnects.
type link struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// dial connects once, to the first server that answers. The error is a fault
// where the configuration is to blame.
func (p *Publisher) dial() (*link, error) {
	nc, err := nats.Connect(p.cfg.Servers, p.options...)
	if err != nil {
		return nil, p.cfg.explain(err)
	}
	js, err := jetstream.New(nc,
		jetstream.WithPublishAsyncTimeout(p.cfg.AckTimeout),
		jetstream.WithPublishAsyncMaxPending(maxPending))
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &link{nc, js}, nil
}

// handlers are told of connections after the fact, in goroutines of the library. They
// wait until the connection of which they are told is stored, and leave alone one
// that has taken its place.
func (p *Publisher) handlers() []nats.Option {
	return []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) { p.ifStored(nc, func() { p.disconnected(err) }) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { p.ifStored(nc, p.reconnected) }),
		nats.ClosedHandler(func(nc *nats.Conn) { p.ifStored(nc, p.closed) }),
		// Such as a missing permission, or credentials that are refused while reconnecting.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			p.complaint.note(errors.New(p.cfg.hideSubjects(err.Error())))
		}),
	}
}

func (p *Publisher) ifStored(nc *nats.Conn, do func()) {
	p.linking.Lock()
	defer p.linking.Unlock()
	if l := p.link.Load(); l != nil && l.nc == nc {
		do()
	}
}

// setOnline notes whether the connection stands, for publishes and the metric.
func (p *Publisher) setOnline(online bool) {
	if p.online.Swap(online) && !online {
		p.lostAt.Store(time.Now().UnixNano())
	}
	if online {
		p.metrics.connected.Set(1)
	} else {
		p.metrics.connected.Set(0)
	}
}

func (p *Publisher) disconnected(err error) {
	p.setOnline(false)
	if p.isClosing() {
		return
	}
	p.log.Warn("connection to NATS lost", slog.String("servers", p.cfg.where()), slog.Any("error", err))
}

// reconnected has the streams looked at again: a server that comes back may have
// lost its disk.
func (p *Publisher) reconnected() {
	p.connections.Add(1)
	p.setOnline(true)
	p.metrics.reconnects.Inc()
	p.complaint.clear()
	p.log.Info("connection to NATS restored", slog.String("servers", p.cfg.where()))
	p.wake()
}

// closed follows Close, or an end of the connection that the client does not
// recover from: then a new one is made.
func (p *Publisher) closed() {
	p.setOnline(false)
	if !p.isClosing() {
		p.link.Store(nil)
		p.wake()
	}
}

// hideSubjects leaves only the root of the subjects in what a server reports: the
// rest of an event's subject tells what somebody has clicked. The case does not
// count, because the client library changes it.
func (c *Config) hideSubjects(text string) string {
	subjects := regexp.MustCompile(`(?i)\b(` + regexp.QuoteMeta(c.Root) + `)\.[^\s"]+`)
	return subjects.ReplaceAllString(text, "$1.>")
}

// wake has maintain look at the connection and the streams, now or as soon as it
// is done with what it does.
func (p *Publisher) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// maintain brings up what is missing, whenever it is woken, until ctx ends.
func (p *Publisher) maintain(ctx context.Context) {
	doubts := time.NewTicker(doubtInterval)
	defer doubts.Stop()
	var last time.Time // that another connection was taken because of them
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
			p.bringUp(ctx)
		case <-doubts.C:
			last = p.resolve(ctx, last)
		}
	}
}

// bringUp tries until connection and streams are there. A fault ends it as long
// as the gateway has never worked; one that comes later is the operator's to
// mend while the gateway waits.
func (p *Publisher) bringUp(ctx context.Context) {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := p.establish(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if isFault(err) && !p.isSetUp() && !p.cfg.relay {
			p.fail(err)
			return
		}
		p.unready.note(err)
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
			wait = firstWait
		case <-time.After(wait + rand.N(wait)):
		}
	}
}

// establish connects if need be and sets the streams up, once. Before the first
// success it keeps the error for those who ask why nothing can be stored.
func (p *Publisher) establish(ctx context.Context) error {
	limit, err := p.tryEstablish(ctx)
	if err == nil {
		p.streamLimit.Store(int64(limit))
		p.setup.Store(&setup{done: true})
		p.unready.clear()
	} else if !p.isSetUp() {
		p.setup.Store(&setup{err: err})
	}
	return err
}

func (p *Publisher) tryEstablish(ctx context.Context) (int, error) {
	l := p.link.Load()
	if l == nil {
		var err error
		if l, err = p.connect(); err != nil {
			return 0, err
		}
	}
	if !l.nc.IsConnected() {
		return 0, errors.New("the connection to NATS is lost")
	}
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	return p.setUp(ctx, l)
}

// connect makes a connection and stores it. One that is lost between the two is
// cleared away by its handlers, which run behind it.
func (p *Publisher) connect() (*link, error) {
	p.linking.Lock()
	defer p.linking.Unlock()
	l, err := p.dial()
	if err != nil {
		return nil, err
	}
	if p.connections.Add(1) > 1 {
		p.metrics.reconnects.Inc()
	}
	p.link.Store(l)
	p.setOnline(true)
	p.log.Info("connected to NATS", slog.String("servers", p.cfg.where()), slog.String("server", l.nc.ConnectedServerName()))
	return l, nil
}
