package ingest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/schema"
)

// delivery is a request whose sender has proved who it is, on its way to the
// answer. Each leaves one line in the log and, with tracing, one span.
type delivery struct {
	batch
	began    time.Time
	platform string // of the webhook; the body can tell more
	bot      string // whose webhook it is; empty for Meta

	outcomes []schema.Outcome // of the items, when they have been published
	counts   counts
	cause    error      // why they could not be stored
	span     trace.Span // nil with tracing off
}

// begin is called when the sender is known, and not before: what anybody can send
// makes neither a line nor a span. began is when the request came.
func (s *Server) begin(r *http.Request, platform string, began time.Time) (context.Context, *delivery) {
	d := &delivery{batch: batch{includeRaw: s.cfg.IncludeRaw}, began: began, platform: platform}
	return s.startSpan(r, d), d
}

// takeIn stores what read finds in a body. Only here a delivery takes a slot. A panic
// becomes an error here already, so that the delivery has its line and its span.
func (s *Server) takeIn(ctx context.Context, d *delivery, body *body, read func(*batch)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.recovered(p, d.platform)
			d.cause = err
		}
	}()
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := body.takeApart(); err != nil {
		return err
	}
	d.receivedAt = s.cfg.Now().UTC().Truncate(time.Millisecond)
	read(&d.batch)
	return s.store(ctx, d)
}

// store publishes the batch; the error is nil only when every item is stored. A
// body that is no JSON is stored like any other dead letter and then refused.
func (s *Server) store(ctx context.Context, d *delivery) error {
	d.outcomes, d.cause = s.publish(ctx, d.items)
	s.metrics.countItems(&d.batch, d.outcomes)
	s.logConflicts(d)
	d.counts = tally(&d.batch, d.outcomes)
	if d.cause != nil {
		return errStore
	}
	s.metrics.countIgnored(&d.batch)
	if d.notJSON {
		return errNotJSON
	}
	return nil
}

// logConflicts warns when an event of the delivery was dropped as the duplicate of
// another click in it. The line has no id: those of some platforms hold the phone number.
func (s *Server) logConflicts(d *delivery) {
	if len(d.items) < 2 || !slices.Contains(d.outcomes, schema.Duplicate) {
		return
	}
	first := make(map[string]*schema.Event, len(d.items))
	for i := range d.items {
		e := d.items[i].Event
		if e == nil {
			continue
		}
		id := e.NatsMsgID()
		if first[id] == nil {
			first[id] = e
		} else if e.Conflicts(first[id]) {
			s.conflicts.Do(func() {
				s.log.Warn("a click has the id of another click with a different payload or user: only the first is stored",
					"platform", e.Data.Platform, "account", e.Data.Account.ID)
			})
			return
		}
	}
}

// publish goes on when the caller hangs up: what is stored now is a duplicate
// when it is delivered again, and one round trip less.
func (s *Server) publish(ctx context.Context, items []schema.Item) ([]schema.Outcome, error) {
	if len(items) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.PublishTimeout)
	defer cancel()
	return s.pub.Publish(ctx, items)
}

// conclude tells log and trace what became of the delivery, and answers 200 where
// err is nil; else err is what the caller has to be answered with.
func (s *Server) conclude(ctx context.Context, w http.ResponseWriter, d *delivery, err error) error {
	s.logDelivery(ctx, d, err)
	d.endSpan(err)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(d.counts.json())
	return ignoreWrite(err)
}

// The outcomes of a delivery as a whole, as log and trace name them. The first that
// applies counts, in this order.
const (
	outcomeRefused   = "refused"   // not looked into: too many at once, or the body did not come whole
	outcomeFailed    = "failed"    // not all of it was stored: the platform delivers again
	outcomeRejected  = "rejected"  // stored, and at least one item as a dead letter
	outcomeStored    = "stored"    // at least one event was stored now
	outcomeDuplicate = "duplicate" // every event was stored already
	outcomeIgnored   = "ignored"   // there was no event in it
)

// outcome takes the error that the delivery is answered with.
func (d *delivery) outcome(err error) string {
	switch {
	case d.cause != nil:
		return outcomeFailed
	case err != nil && !d.notJSON:
		return outcomeRefused
	case d.counts.rejected > 0:
		return outcomeRejected
	case d.counts.accepted > 0:
		return outcomeStored
	case d.counts.duplicates > 0:
		return outcomeDuplicate
	default:
		return outcomeIgnored
	}
}

// statusOf returns the status that err is answered with.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	return problemOf(err).Status
}

// namedPlatform returns the platform that the body tells, else that of the webhook.
func (d *delivery) namedPlatform() string {
	for i := range d.items {
		if e := d.items[i].Event; e != nil {
			return e.Data.Platform
		}
	}
	if len(d.items) > 0 {
		return d.items[0].Rejection.Platform
	}
	for platform := range d.ignored {
		return platform // all but always the only one
	}
	return d.platform
}

const (
	// shownAccounts is how many accounts of a delivery log and trace name.
	shownAccounts = 3
	// countedAccounts is how many are told apart: a large delivery can name thousands,
	// and nobody needs to know how many more.
	countedAccounts = 100
)

// accounts returns the first accounts that the events name, separated by commas,
// and how many there are, at most countedAccounts.
func (d *delivery) accounts() (shown string, n int) {
	if d.bot != "" {
		return d.bot, 1
	}
	var room [shownAccounts]string
	seen := room[:0]
	for i := range d.items {
		e := d.items[i].Event
		if e == nil || slices.Contains(seen, e.Data.Account.ID) {
			continue
		}
		if seen = append(seen, e.Data.Account.ID); len(seen) == countedAccounts {
			break
		}
	}
	return strings.Join(seen[:min(len(seen), shownAccounts)], ","), len(seen)
}

// whyRejected returns the reason of the first dead letter, and what the dead letter
// says about it, which can quote the item.
func (d *delivery) whyRejected() (reason schema.Reason, detail string) {
	for i, outcome := range d.outcomes {
		if outcome != schema.Rejected {
			continue
		}
		if r := &d.items[i].Rejection; d.items[i].Event == nil {
			return r.Reason, r.Detail
		}
		return schema.ReasonTooLarge, "" // only the store knows how large an event may be
	}
	return "", ""
}
