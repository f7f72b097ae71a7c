package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/schema"
)

// Diagnose returns the status with its findings, problems first.
func Diagnose(s Status) Report {
	d := diagnosis{Status: &s, found: []Finding{}}
	if !s.Ready {
		d.problem(CodeNotReady, s.Store.Stream, "events cannot be stored now: "+s.NotReady,
			"do what the reason says; platforms deliver again what was answered 503")
	}
	for _, w := range s.Expected {
		d.webhook(w)
	}
	d.wrongPath()
	d.platforms()
	d.accounts()
	d.consumers()
	slices.SortStableFunc(d.found, func(a, b Finding) int { return strings.Compare(string(b.Level), string(a.Level)) })
	return Report{s, d.found}
}

// HasProblem reports whether somebody has to act.
func (r *Report) HasProblem() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == Problem })
}

type diagnosis struct {
	*Status
	found []Finding
}

func (d *diagnosis) add(level Level, code, about, text, do string) {
	d.found = append(d.found, Finding{level, code, about, text, do})
}

func (d *diagnosis) problem(code, about, text, do string) { d.add(Problem, code, about, text, do) }

func (d *diagnosis) ago(t time.Time) string {
	return max(0, d.Now.Sub(t)).Round(time.Second).String() + " ago"
}

// received returns what a webhook has received, or nothing.
func (d *diagnosis) received(w Webhook) ingest.WebhookActivity {
	for _, r := range d.Received.Webhooks {
		if r.Webhook == w.Webhook && r.Account == w.Account {
			return r
		}
	}
	return ingest.WebhookActivity{Webhook: w.Webhook, Account: w.Account}
}

func (w Webhook) path() string {
	if w.Account == "" {
		return "/webhooks/" + w.Webhook
	}
	return "/webhooks/" + w.Webhook + "/" + w.Account
}

func (d *diagnosis) webhook(w Webhook) {
	r := d.received(w)
	if r.HandshakeRejected.After(r.Handshake) {
		d.problem(CodeHandshakeRejected, w.path(), "the last handshake was rejected "+d.ago(r.HandshakeRejected)+": its verify token is not the gateway's",
			"enter the value of GATEWAY_META_VERIFY_TOKEN as the verify token in the app's webhook settings")
	}
	if r.Rejections > 0 {
		d.rejections(w, r)
	}
	if !r.DeadLetter.IsZero() {
		d.add(Note, CodeDeadLetters, w.path(), "an item became a dead letter "+d.ago(r.DeadLetter)+" ("+r.DeadLetterReason+")",
			"read it with: gateway tail 'deadletter.>' --no-follow")
	}
	if r.Delivery.IsZero() && r.Rejections == 0 && !w.Stored {
		d.silent(w, r)
	}
}

func (d *diagnosis) rejections(w Webhook, r ingest.WebhookActivity) {
	level := Note
	if r.Rejection.After(r.Delivery) {
		level = Problem
	}
	d.add(level, CodeRejected, w.path(), fmt.Sprintf("rejected deliveries: %d, the last one %s: %s", r.Rejections, d.ago(r.Rejection), r.Reason), r.Help)
}

// silent is for a webhook that has never received a delivery. A gateway can serve one
// platform only.
func (d *diagnosis) silent(w Webhook, r ingest.WebhookActivity) {
	level := Problem
	if d.othersReceive(w) {
		level = Note
	}
	switch {
	case w.Webhook == schema.Telegram:
		d.add(level, CodeNoDelivery, w.path(), "nothing has been received for this bot",
			"call setWebhook with the public URL of this path and the bot's secret_token, then see getWebhookInfo for Telegram's last error")
	case !r.Handshake.IsZero():
		d.add(level, CodeNoDelivery, w.path(), "the handshake was answered "+d.ago(r.Handshake)+", but no delivery has been received",
			"subscribe the page to the app (POST /PAGE-ID/subscribed_apps), subscribe to the fields, and see that the app is live: an app in development only delivers clicks of its testers")
	case r.HandshakeRejected.IsZero():
		d.add(level, CodeNoHandshake, w.path(), "no handshake and no delivery have been received since the start "+d.ago(d.Received.Since),
			"enter the public HTTPS address of this path as the callback URL in the app's webhook settings; if it is there, see that the proxy in front of the gateway routes the path here")
	}
}

func (d *diagnosis) othersReceive(w Webhook) bool {
	return slices.ContainsFunc(d.Expected, func(o Webhook) bool {
		return o != w && (o.Stored || !d.received(o).Delivery.IsZero())
	})
}

func (d *diagnosis) wrongPath() {
	if at := d.Received.WrongPath; !at.IsZero() {
		d.add(Note, CodeWrongPath, d.Received.WrongPathName, "a request that looks like a platform's was answered 404 "+d.ago(at)+": this path has no webhook",
			"correct the URL that the platform delivers to: /webhooks/meta, or /webhooks/telegram/ and the name of a configured bot")
	}
}

// fields are what to subscribe to for the clicks of a platform.
var fields = map[string]string{
	schema.Messenger: "subscribe to the fields messaging_postbacks (buttons), messages (quick replies), messaging_referrals and messaging_optins",
	schema.Instagram: "subscribe to the fields messaging_postbacks (buttons), messages (quick replies) and messaging_referral",
	schema.WhatsApp:  "press a button in a test message; clicks come with the field messages",
	schema.Telegram:  "press a button in a test message; if allowed_updates was given to setWebhook, see that it has callback_query and message",
}

// platforms finds those that deliver items without any click.
func (d *diagnosis) platforms() {
	clicks := make(map[string]bool)
	for _, k := range d.Received.Kinds {
		clicks[k.Platform] = clicks[k.Platform] || k.Kind != "none"
	}
	for _, k := range d.Received.Kinds {
		if k.Kind == "none" && !clicks[k.Platform] && fields[k.Platform] != "" && !d.stored(k.Platform) {
			d.problem(CodeNotSubscribed, k.Platform, "deliveries arrive (the last one "+d.ago(k.Last)+"), but none has a click in it", fields[k.Platform])
		}
	}
}

// stored reports whether the stream holds events that came by the platform's webhook.
func (d *diagnosis) stored(platform string) bool {
	return slices.ContainsFunc(d.Expected, func(w Webhook) bool { return w.Webhook == schema.WebhookOf(platform) && w.Stored })
}

func (d *diagnosis) accounts() {
	for _, a := range d.Received.Accounts {
		if !a.Standby.IsZero() && a.Primary.IsZero() {
			d.problem(CodeStandbyOnly, a.Platform+" "+a.Account, "clicks come on the standby channel only (the last one "+d.ago(a.Standby)+"): another app is the primary receiver, and Meta omits the payload",
				"make this app the primary receiver in the page's settings (Advanced Messaging, Handover Protocol), or have the other app pass the thread control")
		}
	}
}

// stuckAfter is how long a consumer may be silent while events wait for it.
const stuckAfter = time.Minute

func (d *diagnosis) consumers() {
	if d.ReadError != "" {
		d.problem(CodeUnreadable, d.Store.Stream, "the consumers cannot be read: "+d.ReadError, "see that the NATS servers run and that the gateway's user may list consumers")
		return
	}
	for _, c := range d.Consumers {
		if text, do := d.stuck(c); text != "" {
			d.problem(CodeStuck, c.Name, text, do)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.GivenUp)) {
		d.add(Note, CodeGivenUp, name, fmt.Sprintf("events that it has given up: %d; they were delivered as often as its MaxDeliver, or terminated", d.GivenUp[name]),
			"repair its program, then see gateway replay --given-up "+name+" --dry-run")
	}
	if len(d.Unclaimed) == 0 {
		return
	}
	if len(d.Consumers) == 0 {
		d.problem(CodeNoConsumer, d.Store.Stream, "events are stored, but no durable consumer asks for any",
			"create a durable consumer with the filter of its clicks, such as postback.v1.*.*.plan.>; see docs/subjects.md")
		return
	}
	d.unclaimed()
}

// unclaimed lists what only consumers of everything receive, if anybody.
func (d *diagnosis) unclaimed() {
	level, who := Problem, "no consumer asks for"
	if slices.ContainsFunc(d.Consumers, func(c monitor.ConsumerState) bool {
		return slices.ContainsFunc(c.Filters, func(filter string) bool { return monitor.SelectsAll(d.Store.Root, filter) })
	}) {
		level, who = Note, "only a consumer of all events asks for"
	}
	first := d.Unclaimed[0].Subject
	more := ""
	if n := len(d.Unclaimed) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	d.add(level, CodeUnclaimed, first+more, "stored in the last 24 hours, but "+who+" it", "list them with: gateway unclaimed; then add the filter to a consumer, or correct its spelling")
}

// stuck returns why a consumer makes no progress; empty if it does.
func (d *diagnosis) stuck(c monitor.ConsumerState) (text, do string) {
	if c.Pending == 0 || c.Since.IsZero() || d.Now.Sub(c.Since) < stuckAfter || d.Now.Sub(c.LastAck) < stuckAfter {
		return "", ""
	}
	text = fmt.Sprintf("%d events wait for it, the oldest for %s, and it acknowledges none", c.Pending, d.Now.Sub(c.Since).Round(time.Second))
	switch {
	case c.Paused:
		return text + ": it is paused", "resume it with: nats consumer resume"
	case c.MaxAckPending > 0 && c.AckPending >= c.MaxAckPending:
		return fmt.Sprintf("%s: %d are delivered and not acknowledged, its MaxAckPending", text, c.AckPending), "have its program acknowledge what it has processed; see its log"
	case c.Redelivered > 0:
		return fmt.Sprintf("%s: %d were delivered again", text, c.Redelivered), "see its program's log: it fails on these events, or does not acknowledge them in time"
	case c.Waiting == 0:
		return text + ": nothing reads from it", "start its program, or remove it with nats consumer rm if nobody needs it any more: it keeps these events in the stream"
	default:
		return text, "see its program's log"
	}
}
