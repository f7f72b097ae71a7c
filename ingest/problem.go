package ingest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// problem is an error as the caller sees it: application/problem+json (RFC 9457).
// It never holds a secret, an expected signature or the text of an error from inside.
// The response is prepared once: anybody can send requests that get one.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	header http.Header // shared by all responses; nobody may change it
	body   []byte
}

// newProblem takes further headers as name and value.
func newProblem(status int, detail string, headers ...string) *problem {
	p := &problem{Title: http.StatusText(status), Status: status, Detail: detail, header: make(http.Header)}
	p.body, _ = json.Marshal(p) // strings and a number cannot fail
	p.header.Set("Content-Type", "application/problem+json")
	p.header.Set("X-Content-Type-Options", "nosniff")
	for i := 0; i+1 < len(headers); i += 2 {
		p.header.Set(headers[i], headers[i+1])
	}
	return p
}

// Error makes a problem the error of a handler. The detail is what a log needs.
func (p *problem) Error() string { return p.Detail }

func (p *problem) write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range p.header {
		header[name] = values
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.body) // the caller is gone: nobody is left to tell
}

const headerRetryAfter = "Retry-After" // in seconds

// The errors that are the same for every request.
var (
	errNotFound    = newProblem(http.StatusNotFound, "there is no webhook at this path; expected /webhooks/meta, or /webhooks/telegram/ and the name of a bot")
	errSignature   = newProblem(http.StatusUnauthorized, "signature does not match")
	errSecretToken = newProblem(http.StatusUnauthorized, "secret token does not match")
	errVerifyToken = newProblem(http.StatusForbidden, "verify token does not match")
	errHandshake   = newProblem(http.StatusBadRequest, "not a handshake: expected hub.mode=subscribe, hub.verify_token and hub.challenge")
	errTooLarge    = newProblem(http.StatusRequestEntityTooLarge, "the body is larger than this gateway takes")
	errMediaType   = newProblem(http.StatusUnsupportedMediaType, "expected Content-Type: application/json")
	errIncomplete  = newProblem(http.StatusRequestTimeout, "the body did not arrive whole in time")
	errNotJSON     = newProblem(http.StatusBadRequest, "the body is no JSON object; it is kept as a dead letter")

	errStore    = newProblem(http.StatusServiceUnavailable, "the delivery could not be stored; deliver again", headerRetryAfter, "5")
	errBusy     = newProblem(http.StatusServiceUnavailable, "too many requests in flight; deliver again", headerRetryAfter, "1")
	errDraining = newProblem(http.StatusServiceUnavailable, "shutting down; deliver again", headerRetryAfter, "5")
	errInternal = newProblem(http.StatusServiceUnavailable, "internal error; deliver again", headerRetryAfter, "5")

	errUnknown = newProblem(http.StatusInternalServerError, "internal error")
)

// refuseMethod answers a request with a method that its path does not have.
func refuseMethod(methods map[string]route) handlerFunc {
	var allowed []string
	for method := range methods {
		allowed = append(allowed, method)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	refused := newProblem(http.StatusMethodNotAllowed, "expected "+allow, "Allow", allow)
	return func(http.ResponseWriter, *http.Request) error { return refused }
}

// problemOf is the one place where an error becomes an answer. What has no
// answer of its own tells the caller nothing.
func problemOf(err error) *problem {
	var p *problem
	if !errors.As(err, &p) {
		return errUnknown
	}
	return p
}
