package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// tried is a click that somebody composes on the page.
type tried struct {
	Platform string `json:"platform"`
	Kind     string `json:"kind"`
	Account  string `json:"account"`
	User     string `json:"user"`
	Title    string `json:"title"`
	Payload  string `json:"payload"`
	Ref      string `json:"ref"`
	// WrongSecret signs with another secret, to see how that is rejected.
	WrongSecret bool `json:"wrongSecret"`
}

// click checks what the page sent. The error is for the person at the page.
func (t *tried) click() (simulate.Platform, simulate.Click, error) {
	p, known := simulate.Platforms[t.Platform]
	kind := schema.Kind(t.Kind)
	c := simulate.Click{Kind: kind, Account: strings.TrimSpace(t.Account), User: strings.TrimSpace(t.User), Title: t.Title, Payload: t.Payload, Ref: t.Ref}
	switch {
	case !known:
		return p, c, fmt.Errorf("there is no platform %.40q", t.Platform)
	case !slices.Contains(p.Kinds, kind):
		return p, c, fmt.Errorf("%s has no clicks of the kind %.40q", t.Platform, t.Kind)
	case c.Account == "" || strings.ContainsAny(c.Account, "/?#%\\ "):
		return p, c, errors.New("the account is the id of the page, account or phone number, or the name of the bot")
	}
	return p, c, nil
}

// capture is the Publisher of a preview. It has the message of the first item.
type capture struct {
	subjects schema.Subjects
	message  *schema.Message
	detail   string // of a dead letter
	err      error
}

// Publish implements [ingest.Publisher].
func (c *capture) Publish(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
	m, err := items[0].Message(c.subjects, maxEvent)
	c.message, c.detail, c.err = &m, items[0].Rejection.Detail, err
	return slices.Repeat([]schema.Outcome{schema.Stored}, len(items)), nil
}

// previewSecret signs previews, which never leave this function.
const previewSecret = "preview"

// preview shows what a click would become. It runs through all of ingest and is not
// stored.
func (c *Console) preview(w http.ResponseWriter, r *http.Request) {
	var t tried
	if !decode(w, r, &t) {
		return
	}
	platform, click, err := t.click()
	if err == nil {
		var request *http.Request
		if request, err = platform.Request("http://preview", previewSecret, click); err == nil {
			var result *previewed
			if result, err = c.runPreview(request, &t); err == nil {
				respond(w, result)
				return
			}
		}
	}
	fail(w, http.StatusUnprocessableEntity, err.Error())
}

type previewed struct {
	Subject string `json:"subject"`
	Event   string `json:"event"`
	Body    string `json:"body"`
	Problem string `json:"problem"`
}

func (c *Console) runPreview(request *http.Request, t *tried) (*previewed, error) {
	body := new(bytes.Buffer)
	if _, err := body.ReadFrom(request.Body); err != nil {
		return nil, err
	}
	request.Body = io.NopCloser(bytes.NewReader(body.Bytes()))
	stored := capture{subjects: c.Subjects}
	in, err := ingest.New(ingest.Config{
		Secrets: ingest.Secrets{
			MetaAppSecrets: []string{previewSecret}, MetaVerifyToken: previewSecret,
			TelegramSecrets: previewBots(t),
		},
		MaxBodyBytes: maxActionBody * 4, MaxInFlight: 1, PublishTimeout: time.Second,
	}, &stored, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	answer := newAnswer()
	in.ServeHTTP(answer, request)
	m := masker{reveal: true}
	p := &previewed{Body: m.print(body.Bytes())}
	message := stored.message
	if message == nil {
		p.Problem = fmt.Sprintf("answered %d: %s", answer.status, answer.body.String())
		return p, nil
	}
	if stored.err != nil {
		return nil, stored.err
	}
	p.Subject, p.Event = message.Subject, m.print(message.Data)
	if message.DeadLetter != "" {
		p.Problem = "This item would become a dead letter: " + stored.detail
	}
	return p, nil
}

func previewBots(t *tried) []ingest.TelegramSecret {
	if t.Platform != schema.Telegram {
		return nil
	}
	return []ingest.TelegramSecret{{Bot: strings.TrimSpace(t.Account), Token: previewSecret}}
}

// send posts a click to the gateway's own webhook. It is stored like every other.
func (c *Console) send(w http.ResponseWriter, r *http.Request) {
	var t tried
	if !decode(w, r, &t) {
		return
	}
	platform, click, err := t.click()
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	secret, err := c.Secret(t.Platform, click.Account)
	if err != nil {
		fail(w, http.StatusConflict, err.Error())
		return
	}
	if t.WrongSecret {
		secret += "-of-another-app"
	}
	request, err := platform.Request("http://console", secret, click)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	request.RemoteAddr, request.RequestURI = r.RemoteAddr, request.URL.RequestURI()
	c.ring.Keep(keepTime)
	var seq atomic.Uint64 // of the delivery in the list
	answer, start := newAnswer(), time.Now()
	c.Post.ServeHTTP(answer, request.WithContext(context.WithValue(r.Context(), sentKey{}, &seq)))
	c.Log.Info("a click was sent from the console", "remote", r.RemoteAddr, "platform", t.Platform, "account", click.Account, "status", answer.status)
	respond(w, map[string]any{"status": answer.status, "body": answer.body.String(), "us": time.Since(start).Microseconds(), "seq": seq.Load()})
}

// answer keeps the response of a handler that is called without a network.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: make(http.Header), status: http.StatusOK} }

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements [http.ResponseWriter].
func (a *answer) Write(text []byte) (int, error) { return a.body.Write(text) }
