package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/schema"
)

const (
	// maxBody is how much of a body is kept, in bytes; maxItems how many of its items.
	maxBody  = 16 << 10
	maxItems = 20
	// maxShown is the longest text in the list, in bytes.
	maxShown = 200
	// maxEvent is the largest event whose text is kept, in bytes.
	maxEvent = 64 << 10
)

// record is one delivery in the ring. It never changes.
type record struct {
	summary
	Method, Path string
	Remote       string
	Headers      [][2]string
	Body         []byte // the beginning
	BodySize     int
	Response     []byte
	Advice       string
	Secret       string
	Steps        []step
	Items        []recordItem
	accounts     map[string]bool

	detail string // of a dead letter: it can quote the item
	row    []byte // the summary as the list gets it: encoded once for all viewers
	size   int    // in memory, about
}

type step struct {
	Name   string `json:"name"`
	Micros int64  `json:"us"`
}

// recordItem is one item of a delivery.
type recordItem struct {
	Outcome schema.Outcome
	Subject string
	ID      string // the Nats-Msg-Id
	Event   []byte // the message: the event, or the dead letter
	Item    []byte // as the platform sent it
	Data    *schema.Data
	Reason  schema.Reason
}

// summary is what the list shows of a delivery.
type summary struct {
	Seq uint64 `json:"seq"`
	// Gap reports that deliveries before this one are missing, because nobody looked.
	Gap      bool      `json:"gap"`
	At       time.Time `json:"at"`
	Platform string    `json:"platform"`
	Account  string    `json:"account"`
	Text     string    `json:"text"`
	Prefixes []string  `json:"prefixes"`
	Persons  []string  `json:"persons"` // their pseudonyms
	Items    int       `json:"items"`
	Outcome  string    `json:"outcome"`
	Status   int       `json:"status"`
	Reason   string    `json:"reason"`
	Micros   int64     `json:"us"`
	// Others is how many of the items are events that are not clicks. Forwarded is the
	// webhook whose existing bot gets the delivery.
	Others    int    `json:"others"`
	Forwarded string `json:"forwarded"`
}

func newRecord(o *ingest.Observation, subjects schema.Subjects) *record {
	r := &record{
		summary: summary{
			At: o.Received, Platform: o.Platform, Account: cut(o.Account), Items: len(o.Items) + o.Ignored,
			Outcome: o.Outcome, Status: o.Status, Reason: o.Reason, Micros: o.Duration.Microseconds(), Forwarded: cut(o.Forwarded),
			Prefixes: []string{}, Persons: []string{},
		},
		Method: o.Request.Method, Path: cut(o.Request.URL.Path), Remote: o.Request.RemoteAddr,
		Headers: headers(o.Request), BodySize: len(o.Body), Response: append([]byte(nil), o.Response...),
		Body: append([]byte(nil), o.Body[:min(len(o.Body), maxBody)]...), accounts: map[string]bool{},
	}
	if r.Platform == "" && o.Outcome != "not_a_delivery" {
		r.Platform = strings.TrimSuffix(o.Handler, "_handshake")
	}
	if isRejected(o) {
		r.Advice = advise(o)
	}
	if len(o.Items) > 0 && isRejected(o) {
		r.detail = o.Help
	}
	if o.Secret > 0 {
		r.Secret = strconv.Itoa(o.Secret) + " of " + strconv.Itoa(o.Secrets)
	}
	r.Steps = steps(&o.Steps)
	r.size = 3<<10 + len(r.Body) + len(r.Response)
	for i := range o.Items[:min(len(o.Items), maxItems)] {
		r.addItem(&o.Items[i], outcomeAt(o.Outcomes, i), subjects)
	}
	r.Text = r.describe(o)
	return r
}

// steps returns those that were reached.
func steps(took *ingest.Steps) []step {
	reached := []step{}
	for _, s := range []struct {
		name string
		took time.Duration
	}{{"read", took.Read}, {"verify", took.Verify}, {"parse", took.Decode}, {"store", took.Store}} {
		if s.took > 0 {
			reached = append(reached, step{s.name, s.took.Microseconds()})
		}
	}
	return reached
}

func outcomeAt(outcomes []schema.Outcome, i int) schema.Outcome {
	if i < len(outcomes) {
		return outcomes[i]
	}
	return schema.Failed
}

func (r *record) addItem(item *schema.Item, outcome schema.Outcome, subjects schema.Subjects) {
	kept := recordItem{Outcome: outcome, Item: append([]byte(nil), item.Body[:min(len(item.Body), maxBody)]...)}
	if m, err := item.Message(subjects, maxEvent); err == nil {
		kept.Subject, kept.ID, kept.Event, kept.Reason = m.Subject, m.ID, m.Data, m.DeadLetter
	}
	if d := kept.letter(); d != nil {
		if account := accountOf(d); account != "" {
			r.accounts[account] = true
			r.Account = cmp.Or(r.Account, cut(account))
		}
	}
	if e := item.Event; e != nil {
		data := e.Data
		data.Raw = nil // it can be a part of the buffer
		kept.Data = &data
		r.accounts[data.Account.ID] = true
		if data.What != "" {
			r.Others++
		} else {
			r.Prefixes = append(r.Prefixes, item.Route.Prefix)
		}
		for _, id := range []string{data.User.ID, data.User.Ref} {
			if id != "" {
				r.Persons = append(r.Persons, pseudonym(id))
			}
		}
	}
	r.size += len(kept.Event) + len(kept.Item) + 1<<10
	r.Items = append(r.Items, kept)
}

// describe is the text of the list: the payload of the first event, or what else it is.
func (r *record) describe(o *ingest.Observation) string {
	for i := range r.Items {
		if text := r.Items[i].text(); text != "" {
			return cut(text)
		}
	}
	switch {
	case len(r.Items) > 0:
		return "dead letter"
	case o.Outcome == "ignored":
		return "no click in it"
	case o.Outcome == "handshake":
		return "handshake"
	}
	return cut(r.Method + " " + r.Path)
}

// text is what a person pressed. What the person typed is masked.
func (i *recordItem) text() string {
	switch d := i.Data; {
	case d == nil:
		return ""
	case d.What != "":
		return d.What
	case d.Payload != nil && (isForm(d.Kind) || isPersonal(d.Payload.Raw)):
		return string(d.Kind) + " " + masked(d.Payload.Raw)
	case d.Payload != nil:
		return d.Payload.Raw
	case d.Referral != nil && d.Referral.Ref != "":
		return string(d.Kind) + " " + d.Referral.Ref
	default:
		return string(d.Kind)
	}
}

// letter returns the dead letter; nil for an event.
func (i *recordItem) letter() *schema.DeadLetter {
	d := new(schema.DeadLetter)
	if i.Reason == "" || json.Unmarshal(i.Event, d) != nil {
		return nil
	}
	return d
}

func cut(text string) string {
	if len(text) <= maxShown {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "…"
}

// shownHeaders are the request headers that help to understand a delivery. None of them
// is a secret.
var shownHeaders = []string{"Content-Type", "Content-Length", "Content-Encoding", "User-Agent", "X-Forwarded-For", "X-Forwarded-Proto"}

// headers returns the relevant headers. Of those that prove who the sender is it says
// only what they look like, and of the query only the names.
func headers(r *http.Request) [][2]string {
	shown := [][2]string{{"Host", cut(r.Host)}}
	for _, name := range shownHeaders {
		if value := r.Header.Get(name); value != "" {
			shown = append(shown, [2]string{name, cut(value)})
		}
	}
	for _, name := range []string{"X-Hub-Signature-256", "X-Hub-Signature", "X-Telegram-Bot-Api-Secret-Token"} {
		if value := r.Header.Get(name); value != "" {
			scheme, _, hasScheme := strings.Cut(value, "=")
			text := strconv.Itoa(len(value)) + " characters"
			if hasScheme && (scheme == "sha256" || scheme == "sha1") {
				text = scheme + "= and " + strconv.Itoa(len(value)-len(scheme)-1) + " characters"
			}
			shown = append(shown, [2]string{name, "(" + text + ", not shown)"})
		}
	}
	if names := queryNames(r.URL); names != "" {
		shown = append(shown, [2]string{"query", names})
	}
	return shown
}

func queryNames(u *url.URL) string {
	var names []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if name, _, _ := strings.Cut(pair, "="); name != "" && len(names) < 10 {
			names = append(names, cut(name))
		}
	}
	return strings.Join(names, ", ")
}

// json is the summary for the list.
func (s *summary) json() json.RawMessage {
	text, _ := json.Marshal(s) // strings, numbers and a time always encode
	return text
}
