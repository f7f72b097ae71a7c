package ingest

import (
	"bytes"
	"errors"
	"net/http"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// Observer sees what becomes of requests. The console is one.
//
// Watching reports whether somebody looks at every delivery now. It is called once a
// delivery, so it has to be fast. Observe is called after the response of every request
// that was not accepted, and of the others if Watching returned true. Nothing in the
// observation may be used or changed after Observe has returned: the buffers are reused.
//
// Both have to be safe for concurrent use.
type Observer interface {
	Watching() bool
	Observe(*Observation)
}

// Observation is one request to the public listener and what became of it.
type Observation struct {
	Request  *http.Request
	Handler  string // its name in metrics
	Platform string // the platform of the first item; empty if the sender is unknown
	Account  string // the first accounts, separated by commas
	Received time.Time
	Duration time.Duration
	Steps    Steps

	Body   []byte // as far as it was read
	Status int
	// Outcome is the one in log and trace, or unauthenticated, handshake or
	// not_a_delivery.
	Outcome string
	// Reason is why the request was not accepted, as one word, and Help what to do.
	Reason, Help string
	Response     []byte
	// Secret is the place of the matching secret in its list, from 1, out of Secrets; 0
	// if there is none.
	Secret, Secrets int

	Items    []schema.Item
	Outcomes []schema.Outcome // of the items; empty if none was published
	// Forwarded is the webhook whose existing bot gets the whole delivery; empty if none
	// does.
	Forwarded string
	Ignored   int
}

// Steps are how long the steps of a delivery took. A step that was not reached is 0.
type Steps struct{ Read, Verify, Decode, Store time.Duration }

// The outcomes of requests that are not deliveries of a platform.
const (
	outcomeUnauthenticated = "unauthenticated" // a delivery of an unknown sender
	outcomeHandshake       = "handshake"
	outcomeNotADelivery    = "not_a_delivery" // an unknown path, another method
)

// trail is what a request leaves for the observer on its way.
type trail struct {
	watched  bool // somebody looks: the steps are timed
	last     time.Time
	steps    Steps
	body     *body
	content  *body // the body decompressed; nil if it was not compressed
	delivery *delivery
	rejected *rejection

	secret, secrets int
}

// step ends a step.
func (t *trail) step(took *time.Duration) {
	if t.watched {
		now := time.Now()
		*took, t.last = now.Sub(t.last), now
	}
}

// observe shows a request to the observer. err is what it was answered with.
func (s *Server) observe(r *request, start time.Time, status int, err error) {
	t := &r.trail
	rejected := t.delivery != nil && t.delivery.counts.rejected > 0
	if s.cfg.Observer == nil || !t.watched && err == nil && !rejected {
		return
	}
	o := &Observation{
		Request: r.Request, Handler: r.handler, Account: r.account, Received: start, Duration: time.Since(start),
		Steps: t.steps, Status: status, Outcome: r.outcome(), Secret: t.secret, Secrets: t.secrets,
	}
	if t.body != nil {
		o.Body = t.body.bytes
	}
	if d := t.delivery; d != nil {
		d.describe(o, err)
	}
	if err != nil {
		o.explain(t, err)
	}
	s.cfg.Observer.Observe(o)
}

// outcome is the outcome of a request without a delivery.
func (r *request) outcome() string {
	switch {
	case r.hook == nil:
		return outcomeNotADelivery
	case r.Method == http.MethodPost:
		return outcomeUnauthenticated
	case r.Method == http.MethodGet && r.hook.get != nil:
		return outcomeHandshake
	default:
		return outcomeNotADelivery
	}
}

func (d *delivery) describe(o *Observation, err error) {
	o.Outcome, o.Platform = d.outcome(err), d.platform()
	o.Account, _ = d.accounts()
	o.Items, o.Outcomes = d.items, d.outcomes
	if d.whole != nil && err == nil {
		o.Forwarded = d.whole.Webhook
	}
	for _, n := range d.ignored {
		o.Ignored += n
	}
	if reason, detail := d.rejectionReason(); reason != "" {
		o.Reason, o.Help = string(reason), detail
	}
	if err == nil {
		o.Response = bytes.TrimSpace(d.counts.text())
	}
}

// explain says why the request was answered with an error. What the store says is for
// operators, as in the log.
func (o *Observation) explain(t *trail, err error) {
	p := problemOf(err)
	o.Response = bytes.TrimSpace(p.body)
	switch {
	case t.rejected != nil:
		o.Reason, o.Help = t.rejected.reason, t.rejected.help
	case t.delivery != nil && t.delivery.storeErr != nil:
		o.Reason, o.Help = "store", t.delivery.storeErr.Error()
	case o.Reason == "":
		o.Reason, o.Help = problemNames[p], p.Detail
	}
}

// problemNames are the reasons of the requests that were not accepted for another reason
// than who sent them.
var problemNames = map[*problem]string{
	errNotFound: "unknown_path", errPostOnly: "method", errGetOrPostOnly: "method",
	errVerifyToken: "verify_token", errHandshake: "handshake_parameters",
	errTooLarge: "too_large", errMediaType: "media_type", errIncomplete: "incomplete",
	errNotJSON: "not_json", errStore: "store", errBusy: "busy", errInternal: "internal",
}

// asRejection returns the rejection in an error with a help that every reader
// understands; nil if there is none.
func asRejection(err error) *rejection {
	var rejected *rejection
	if !errors.As(err, &rejected) {
		return nil
	}
	if rejected == rejectUndiagnosed {
		return rejectMismatch
	}
	return rejected
}
