package publish

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What is done about an outage that the connection does not show, and how often. The
// election of a leader, which needs nothing but time, takes up to nine seconds.
const (
	doubtInterval  = 2 * time.Second
	reconnectAfter = 10 * time.Second
)

// errCodeOtherStream is the answer to a message that is to be stored by a stream of
// another name only.
const errCodeOtherStream jetstream.ErrorCode = 10060

// noStream is the name of none: names of streams have no dots.
const noStream = "no.stream"

// checkAnswers is for what neither the connection nor the streams tell: events that
// nobody acknowledges. Without deliveries nobody finds out whether that is over, and a
// balancer that goes by the answer would keep them away for ever; so it is asked.
func (p *Publisher) checkAnswers(ctx context.Context, l *link) error {
	if err := p.outage.err(); err != nil {
		return fmt.Errorf("%w%s", err, p.reported())
	}
	if !p.outage.unsettled() {
		return nil
	}
	if err := p.tryPublish(ctx, l); err != nil {
		return err
	}
	p.outage.forget()
	return nil
}

// tryPublish sends a message as events are sent, under a condition that no stream
// meets: nothing is stored, but who would store it has to answer. So it finds what
// a question about the stream does not, such as a permission that was taken away.
// Subscribers outside of JetStream see the message, which is empty; it is only sent
// while there is doubt whether events get through.
func (p *Publisher) tryPublish(ctx context.Context, l *link) error {
	m := nats.NewMsg(p.cfg.Root + ".ready._._._")
	m.Header.Set(jetstream.ExpectedStreamHeader, noStream)
	_, err := l.js.PublishMsg(ctx, m, once...)
	if apiCode(err) == errCodeOtherStream {
		return nil
	}
	return fmt.Errorf("stream %s does not answer what is published on %s (%w%s): see that this user may publish there",
		p.cfg.Stream, p.cfg.eventSubjects(), err, p.reported())
}

// reported returns what the server has reported on this connection, for the end of
// an error.
func (p *Publisher) reported() string {
	if text := p.complaint.String(); text != "" {
		return "; NATS reports: " + text
	}
	return ""
}

// resolve ends an outage that has ended without a delivery to tell, and takes
// another connection where one that stands leads nowhere: to a server that is cut off
// from the others, or that has dropped a subscription with a permission since given
// back. It returns when it last did that.
func (p *Publisher) resolve(ctx context.Context, last time.Time) time.Time {
	l := p.link.Load()
	if l == nil || !p.online.Load() || !p.outage.unsettled() {
		return last
	}
	ctx, cancel := context.WithTimeout(ctx, doubtInterval)
	defer cancel()
	err := p.checkAnswers(ctx, l)
	if err == nil || p.outage.age() < reconnectAfter || time.Since(last) < reconnectAfter {
		return last
	}
	p.log.Warn("nothing is acknowledged on this connection to NATS: trying another one",
		slog.String("server", l.nc.ConnectedServerName()), slog.Any("error", err))
	if err := l.nc.ForceReconnect(); err != nil {
		p.log.Warn("the connection to NATS cannot be made again", slog.Any("error", err))
	}
	return time.Now()
}
