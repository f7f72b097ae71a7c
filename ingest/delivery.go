package ingest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/schema"
)

// delivery is one POST whose sender is authenticated. Each has one line in the log
// and, with tracing, one span.
type delivery struct {
	batch
	hook     *webhook
	received time.Time // when its headers were received
	trail    *trail

	whole *schema.Delivery // to be forwarded; nil if it is not

	outcomes []schema.Outcome // of the items, in their order
	counts   counts
	storeErr error      // why the items could not be stored
	span     trace.Span // nil without tracing
}

// counts are the numbers of items by outcome, as they stand in the response.
type counts struct {
	accepted, duplicates, ignored, rejected, failed int
}

func (d *delivery) count() {
	c := counts{rejected: d.surplus}
	for _, n := range d.ignored {
		c.ignored += n
	}
	for _, outcome := range d.outcomes {
		switch outcome {
		case schema.Stored:
			c.accepted++
		case schema.Duplicate:
			c.duplicates++
		case schema.Rejected:
			c.rejected++
		default:
			c.failed++
		}
	}
	d.counts = c
}

// usualCounts are those of nearly all deliveries, which have one event. Their text is made once.
var (
	usualCounts = counts{accepted: 1}
	usualText   = usualCounts.text()
)

func (c counts) text() []byte {
	return fmt.Appendf(nil, "{\"accepted\":%d,\"duplicates\":%d,\"ignored\":%d,\"rejected\":%d}\n",
		c.accepted, c.duplicates, c.ignored, c.rejected)
}

// response returns the body of a 200. Nobody may change it.
func (d *delivery) response() []byte {
	switch {
	case d.answer != nil:
		return append(d.answer, '\n')
	case d.counts == usualCounts:
		return usualText
	default:
		return d.counts.text()
	}
}

// The outcomes of a whole delivery in log and trace. If several apply, the first in
// this order is used.
const (
	outcomeFailed    = "failed"    // not all of it was stored: the platform delivers again
	outcomeRefused   = "refused"   // not decoded: too many at once, or the body was too large or incomplete
	outcomeRejected  = "rejected"  // stored, with at least one dead letter
	outcomeStored    = "stored"    // at least one event is new
	outcomeDuplicate = "duplicate" // every event had been stored before
	outcomeIgnored   = "ignored"   // there was no event in it
)

// outcome takes the error that the delivery is answered with.
func (d *delivery) outcome(err error) string {
	switch {
	case d.storeErr != nil:
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

// platform returns the platform of the first item, or else the webhook's name.
func (d *delivery) platform() string {
	for i := range d.items {
		if e := d.items[i].Event; e != nil {
			return e.Data.Platform
		}
	}
	if len(d.items) > 0 {
		return d.items[0].Rejection.Platform
	}
	for platform := range d.ignored {
		return platform // nearly always the only one
	}
	return d.hook.name
}

const (
	// shownAccounts is how many accounts of a delivery stand in log and trace.
	shownAccounts = 3
	// countedAccounts is where counting them stops. A large delivery can name thousands.
	countedAccounts = 100
)

// accounts returns the first accounts of the events, separated by commas, and how
// many there are, at most countedAccounts.
func (d *delivery) accounts() (shown string, n int) {
	if d.account != "" {
		return d.account, 1
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

// rejectionReason returns the reason of the first dead letter and its detail, which
// can quote the item.
func (d *delivery) rejectionReason() (reason schema.Reason, detail string) {
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
