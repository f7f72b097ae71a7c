package ingest

import (
	"encoding/json"
	"errors"
	"net/http"
)

// problem is an error response: application/problem+json (RFC 9457). It never contains a
// secret, an expected signature or the text of an internal error. It is encoded once,
// because anybody can send requests that get one.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	header http.Header // shared by all responses, so never changed
	body   []byte
}

// newProblem takes pairs of header name and value.
func newProblem(status int, detail string, headers ...string) *problem {
	p := &problem{Title: http.StatusText(status), Status: status, Detail: detail, header: make(http.Header)}
	p.body, _ = json.Marshal(p) // strings and a number always encode
	p.body = append(p.body, '\n')
	p.header.Set("Content-Type", "application/problem+json")
	p.header.Set("X-Content-Type-Options", "nosniff")
	for i := 0; i+1 < len(headers); i += 2 {
		p.header.Set(headers[i], headers[i+1])
	}
	return p
}

// Error implements error. The detail is also what the log needs.
func (p *problem) Error() string { return p.Detail }

func (p *problem) write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range p.header {
		header[name] = values
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.body) // an error means that the caller hung up
}

const headerRetryAfter = "Retry-After" // in seconds

// The errors that are the same for every request.
var (
	errNotFound      = newProblem(http.StatusNotFound, "there is no webhook at this path; expected /webhooks/meta, or /webhooks/telegram/ and the name of a bot")
	errPostOnly      = newProblem(http.StatusMethodNotAllowed, "expected POST", "Allow", "POST")
	errGetOrPostOnly = newProblem(http.StatusMethodNotAllowed, "expected GET, POST", "Allow", "GET, POST")
	errSignature     = newProblem(http.StatusUnauthorized, "signature does not match")
	errSecretToken   = newProblem(http.StatusUnauthorized, "secret token does not match")
	errVerifyToken   = newProblem(http.StatusForbidden, "verify token does not match")
	errHandshake     = newProblem(http.StatusBadRequest, "not a handshake: expected hub.mode=subscribe, hub.verify_token and hub.challenge")
	errTooLarge      = newProblem(http.StatusRequestEntityTooLarge, "the body is larger than this gateway takes")
	errMediaType     = newProblem(http.StatusUnsupportedMediaType, "expected Content-Type: application/json")
	errIncomplete    = newProblem(http.StatusRequestTimeout, "the body did not arrive whole in time")
	errNotJSON       = newProblem(http.StatusBadRequest, "the body is not a JSON object; it is kept as a dead letter")

	errStore    = newProblem(http.StatusServiceUnavailable, "the delivery could not be stored; deliver again", headerRetryAfter, "5")
	errBusy     = newProblem(http.StatusServiceUnavailable, "too many requests in flight; deliver again", headerRetryAfter, "1")
	errInternal = newProblem(http.StatusServiceUnavailable, "internal error; deliver again", headerRetryAfter, "5")

	errUnknown = newProblem(http.StatusInternalServerError, "internal error")
)

// problemOf returns the response to an error. An error without one says nothing to the
// caller.
func problemOf(err error) *problem {
	var p *problem
	if !errors.As(err, &p) {
		return errUnknown
	}
	return p
}
