package ingest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// problem is an error as the caller sees it: application/problem+json (RFC 9457).
// It never holds a secret, an expected signature or the text of an error from inside.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	retryAfter int // seconds; 0 for no header
	allow      string
}

// Error makes a problem the error of a handler. The detail is what a log needs.
func (p *problem) Error() string { return p.Detail }

// The errors that are the same for every request.
var (
	errNotFound    = refusal(http.StatusNotFound, "there is no webhook at this path; expected /webhooks/meta, or /webhooks/telegram/ and the name of a bot")
	errSignature   = refusal(http.StatusUnauthorized, "signature does not match")
	errSecretToken = refusal(http.StatusUnauthorized, "secret token does not match")
	errVerifyToken = refusal(http.StatusForbidden, "verify token does not match")
	errHandshake   = refusal(http.StatusBadRequest, "not a handshake: expected hub.mode=subscribe, hub.verify_token and hub.challenge")
	errTooLarge    = refusal(http.StatusRequestEntityTooLarge, "the body is larger than this gateway takes")
	errMediaType   = refusal(http.StatusUnsupportedMediaType, "expected Content-Type: application/json")
	errIncomplete  = refusal(http.StatusRequestTimeout, "the body did not arrive whole in time")
	errNotJSON     = refusal(http.StatusBadRequest, "the body is no JSON object; it is kept as a dead letter")

	errStore    = &problem{Status: http.StatusServiceUnavailable, Detail: "the delivery could not be stored; deliver again", retryAfter: 5}
	errBusy     = &problem{Status: http.StatusServiceUnavailable, Detail: "too many requests in flight; deliver again", retryAfter: 1}
	errDraining = &problem{Status: http.StatusServiceUnavailable, Detail: "shutting down; deliver again", retryAfter: 5}

	errInternal = &problem{Status: http.StatusServiceUnavailable, Detail: "internal error; deliver again", retryAfter: 5}

	errUnknown = refusal(http.StatusInternalServerError, "internal error")
)

func refusal(status int, detail string) *problem { return &problem{Status: status, Detail: detail} }

// refuseMethod answers a request with a method that its path does not have.
func refuseMethod(methods map[string]route) handlerFunc {
	var allowed []string
	for method := range methods {
		allowed = append(allowed, method)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return func(http.ResponseWriter, *http.Request) error {
		return &problem{Status: http.StatusMethodNotAllowed, Detail: "expected " + allow, allow: allow}
	}
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

func (p *problem) write(w http.ResponseWriter) {
	out := *p
	out.Title = http.StatusText(p.Status)
	body, _ := json.Marshal(out) // strings and a number cannot fail
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller is gone: nobody is left to tell
}
