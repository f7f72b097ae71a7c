package ingest

import (
	"net/http"
	"sync"
)

// webhook is a URL path that platforms deliver to. Several platforms can share one.
type webhook struct {
	// name is the webhook's label in metrics, and the platform of dead letters whose
	// body does not say more.
	name string
	// path can have one variable, whose value is the account of the delivery. account is
	// the variable's name.
	path    string
	account string
	// accountExists reports whether the account in the path is configured. Other
	// paths are answered 404. nil for a path without an account.
	accountExists func(secrets *liveSecrets, account string) bool
	// rejections lists every rejection that authenticate and its check return.
	rejections []*rejection
	// get answers GET requests; nil if the platform sends none.
	get handlerFunc
	// authenticate checks the headers, before the body is read. The check that it
	// returns needs the body too; nil if the headers prove who the sender is.
	authenticate func(secrets *liveSecrets, r *request) (check, error)
	// decode adds everything in the body to the batch, and never fails: what is
	// malformed becomes a dead letter.
	decode func(b *batch, body []byte)
}

// check reports with an error that body is not from the platform. It looks at the
// bytes as they were received.
type check func(body []byte) error

// rejection is the error of authenticate and check: the request is not known to be from
// the platform. It answers the request with response.
type rejection struct {
	reason string // in log and metric
	// help says what the operator can do. Without it a rejection is counted and not
	// logged.
	help     string
	response *problem // the same for all reasons
}

func (r *rejection) Error() string { return r.reason + ": " + r.help }

func (r *rejection) Unwrap() error { return r.response }

// webhooks is the table of webhooks, one row each.
var webhooks = []webhook{
	{
		name:         labelMeta,
		path:         metaPath,
		rejections:   signatureRejections,
		get:          (*Server).handshake,
		authenticate: authenticateMeta,
		decode:       decodeMeta,
	},
	{
		name:          labelTelegram,
		path:          telegramPath + "{bot}",
		account:       "bot",
		accountExists: telegramBotExists,
		rejections:    tokenRejections,
		authenticate:  authenticateTelegram,
		decode:        decodeTelegram,
	},
}

// request is an HTTP request, and what the gateway does with it.
type request struct {
	*http.Request
	handler string // its name in metrics
	handle  handlerFunc
	hook    *webhook // nil: there is none at this path
	account string   // from the path; empty for most webhooks
	trail   trail

	delivery delivery // if the sender is authenticated
}

// requests are reused: see what [Publisher] and [Observer] may keep.
var requests = sync.Pool{New: func() any { return new(request) }}

// release frees everything, after the response.
func (r *request) release() {
	if b := r.trail.body; b != nil {
		b.release()
	}
	if b := r.trail.content; b != nil {
		b.release()
	}
	items := r.delivery.items
	*r = request{}
	if cap(items) <= maxReusedItems {
		clear(items)
		r.delivery.items = items[:0]
	}
	requests.Put(r)
}

const maxReusedItems = 128

// handlerFunc answers a request, or returns the error to answer it with.
type handlerFunc func(*Server, http.ResponseWriter, *request) error

func respondNotFound(s *Server, w http.ResponseWriter, r *request) error {
	s.activity.notFound(r.Request)
	s.hintWrongPath(w, r)
	return errNotFound
}

func respondMethodNotAllowed(_ *Server, _ http.ResponseWriter, r *request) error {
	if r.hook.get == nil {
		return errPostOnly
	}
	return errGetOrPostOnly
}
