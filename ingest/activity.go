package ingest

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// Activity is what the webhooks have received since the start. Times are zero for what
// has not happened. It has no payload and nothing about a user.
type Activity struct {
	Since    time.Time         `json:"since"`
	Webhooks []WebhookActivity `json:"webhooks"`
	Accounts []AccountActivity `json:"accounts"`
	Kinds    []KindActivity    `json:"kinds"`
	// WrongPath is the last request of a platform to a path without a webhook.
	WrongPath     time.Time `json:"wrong_path,omitzero"`
	WrongPathName string    `json:"wrong_path_name,omitempty"`
}

// WebhookActivity is what one webhook has received, for each account in its path.
type WebhookActivity struct {
	Webhook string `json:"webhook"`
	Account string `json:"account,omitempty"` // in the path

	Handshake         time.Time `json:"handshake,omitzero"`
	HandshakeRejected time.Time `json:"handshake_rejected,omitzero"` // for its verify token
	// Delivery is the last one whose sender was authenticated, Rejection the last one
	// whose sender was not. Reason and Help are those of the rejection.
	Delivery   time.Time `json:"delivery,omitzero"`
	Rejection  time.Time `json:"rejection,omitzero"`
	Reason     string    `json:"reason,omitempty"`
	Help       string    `json:"help,omitempty"`
	Rejections uint64    `json:"rejections"`
	// DeadLetter is the last item that became one.
	DeadLetter       time.Time `json:"dead_letter,omitzero"`
	DeadLetterReason string    `json:"dead_letter_reason,omitempty"`
}

// AccountActivity is when an account's last event was received, by its channel.
type AccountActivity struct {
	Platform string    `json:"platform"`
	Account  string    `json:"account"`
	Primary  time.Time `json:"primary,omitzero"`
	Standby  time.Time `json:"standby,omitzero"`
	Test     time.Time `json:"test,omitzero"`
}

// KindActivity is when the last item of a kind was received. Items that are not events
// have the kind "none".
type KindActivity struct {
	Platform string    `json:"platform"`
	Kind     string    `json:"kind"`
	Last     time.Time `json:"last"`
}

// Activity returns what has been received until now.
func (s *Server) Activity() Activity { return s.activity.read() }

// maxRecords is how many accounts, and kinds, have records of their own.
const maxRecords = 1000

// activity records what is received. A delivery costs two look-ups and two atomic
// stores for each item.
type activity struct {
	since     time.Time
	wrongPath atomic.Pointer[wrongPath]
	webhooks  records[[2]string, webhookRecord] // by webhook and account
	accounts  records[[2]string, accountRecord] // by platform and account
	kinds     records[[2]string, moment]        // by platform and kind
}

type wrongPath struct {
	at   time.Time
	path string
}

type webhookRecord struct {
	handshake, handshakeRejected, delivery, rejection, deadLetter moment

	reason           atomic.Pointer[rejection]
	rejections       atomic.Uint64
	deadLetterReason atomic.Value // schema.Reason
}

type accountRecord struct{ primary, standby, test moment }

// moment is a time that is stored without a lock.
type moment struct{ ms atomic.Int64 }

func (m *moment) set(t time.Time) { m.ms.Store(t.UnixMilli()) }

func (m *moment) get() time.Time {
	if ms := m.ms.Load(); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// records holds a record for each of the first maxRecords keys; the others share one.
type records[K comparable, R any] struct {
	mu    sync.RWMutex
	all   map[K]*R
	other R
}

func (r *records[K, R]) get(key K) *R {
	r.mu.RLock()
	record := r.all[key]
	r.mu.RUnlock()
	if record != nil {
		return record
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.all[key] != nil:
		return r.all[key]
	case len(r.all) >= maxRecords:
		return &r.other
	case r.all == nil:
		r.all = make(map[K]*R)
	}
	record = new(R)
	r.all[key] = record
	return record
}

// each calls f for every record.
func (r *records[K, R]) each(f func(K, *R)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for key, record := range r.all {
		f(key, record)
	}
}

func (a *activity) webhook(r *request) *webhookRecord {
	return a.webhooks.get([2]string{r.hook.name, r.account})
}

func (a *activity) handshake(r *request, accepted bool) {
	w, at := a.webhook(r), time.Now()
	if accepted {
		w.handshake.set(at)
	} else {
		w.handshakeRejected.set(at)
	}
}

func (a *activity) rejected(r *request, why *rejection) {
	if why == rejectUndiagnosed {
		why = rejectMismatch // the same for an operator
	}
	w := a.webhook(r)
	w.rejection.set(time.Now())
	w.reason.Store(why)
	w.rejections.Add(1)
}

// notFound records a request that looks like one of a platform's. Anybody can send one.
func (a *activity) notFound(r *http.Request) {
	if r.URL.Query().Has("hub.mode") || r.Header.Get(headerSignature) != "" || r.Header.Get(headerTelegram) != "" {
		const longest = 200
		a.wrongPath.Store(&wrongPath{time.Now(), r.URL.Path[:min(len(r.URL.Path), longest)]})
	}
}

// delivered records a delivery whose sender is authenticated, and its items.
func (a *activity) delivered(d *delivery) {
	w := a.webhooks.get([2]string{d.hook.name, d.account})
	w.delivery.set(d.receivedAt)
	for i := range d.outcomes {
		e := d.items[i].Event
		if e == nil {
			w.deadLetter.set(d.receivedAt)
			w.deadLetterReason.Store(d.items[i].Rejection.Reason)
			continue
		}
		a.event(&e.Data)
	}
	for platform := range d.ignored {
		a.kinds.get([2]string{platform, kindNone}).set(d.receivedAt)
	}
}

func (a *activity) event(d *schema.Data) {
	a.kinds.get([2]string{d.Platform, string(d.Kind)}).set(d.ReceivedAt)
	account := a.accounts.get([2]string{d.Platform, d.Account.ID})
	switch d.Channel {
	case schema.ChannelStandby:
		account.standby.set(d.ReceivedAt)
	case schema.ChannelTest:
		account.test.set(d.ReceivedAt)
	default:
		account.primary.set(d.ReceivedAt)
	}
}

func (a *activity) read() Activity {
	found := Activity{Since: a.since, Webhooks: []WebhookActivity{}, Accounts: []AccountActivity{}, Kinds: []KindActivity{}}
	if p := a.wrongPath.Load(); p != nil {
		found.WrongPath, found.WrongPathName = p.at, p.path
	}
	a.webhooks.each(func(key [2]string, w *webhookRecord) { found.Webhooks = append(found.Webhooks, w.read(key)) })
	a.accounts.each(func(key [2]string, r *accountRecord) {
		found.Accounts = append(found.Accounts, AccountActivity{key[0], key[1], r.primary.get(), r.standby.get(), r.test.get()})
	})
	a.kinds.each(func(key [2]string, m *moment) {
		found.Kinds = append(found.Kinds, KindActivity{key[0], key[1], m.get()})
	})
	slices.SortFunc(found.Webhooks, func(a, b WebhookActivity) int {
		return cmp.Or(cmp.Compare(a.Webhook, b.Webhook), cmp.Compare(a.Account, b.Account))
	})
	slices.SortFunc(found.Accounts, func(a, b AccountActivity) int {
		return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Account, b.Account))
	})
	slices.SortFunc(found.Kinds, func(a, b KindActivity) int {
		return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Kind, b.Kind))
	})
	return found
}

func (w *webhookRecord) read(key [2]string) WebhookActivity {
	read := WebhookActivity{
		Webhook: key[0], Account: key[1],
		Handshake: w.handshake.get(), HandshakeRejected: w.handshakeRejected.get(),
		Delivery: w.delivery.get(), Rejection: w.rejection.get(), Rejections: w.rejections.Load(), DeadLetter: w.deadLetter.get(),
	}
	if why := w.reason.Load(); why != nil {
		read.Reason, read.Help = why.reason, why.help
	}
	if reason, ok := w.deadLetterReason.Load().(schema.Reason); ok {
		read.DeadLetterReason = string(reason)
	}
	return read
}
