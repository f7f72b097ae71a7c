package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

const (
	// attemptTimeout is for the whole of one attempt. Platforms wait for 5 to 60 seconds.
	attemptTimeout = 30 * time.Second
	// maxResponse is how much of a response is read, in bytes.
	maxResponse = 64 << 10
)

// newClient returns a client that does not follow redirects: the operator has configured
// where deliveries go, and a bot must not be able to send them elsewhere.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxInFlight
	transport.DisableCompression = true
	return &http.Client{
		Transport:     transport,
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post posts a delivery once. The error shows neither the target's URL, which can contain
// a secret, nor the response.
func (w *worker) post(ctx context.Context, d *schema.Delivery) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target.URL, bytes.NewReader(d.Body))
	if err != nil {
		return withoutURL(err)
	}
	request.Header["User-Agent"] = nil // unless the platform sent one
	for name, values := range d.Header {
		request.Header[name] = values
	}
	if w.target.Webhook == schema.Telegram && request.Header.Get(schema.SecretHeader) == "" {
		request.Header.Set(schema.SecretHeader, w.cfg.Token(w.target.Account)) // of a dead letter that is posted again
	}
	response, err := w.client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxResponse)) // the status has told the result
	switch code := response.StatusCode; {
	case code >= 300 && code < 400:
		return fmt.Errorf("the bot redirects (status %d), and redirects are not followed: configure the address that it redirects to", code)
	case code < 200 || code > 299:
		return fmt.Errorf("the bot answered with status %d", code)
	}
	if callsMethod(body) {
		w.method.Do(func() {
			w.log.Warn("the bot answers with a call of the Bot API in its response, which Telegram does not get: " +
				"have it call the API instead; docs/existing-bot.md says how for your framework")
		})
	}
	return nil
}

func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// callsMethod reports whether a response is a call of the Bot API ("Making requests when
// getting updates").
func callsMethod(response []byte) bool {
	var call struct {
		Method string `json:"method"`
	}
	return json.Unmarshal(response, &call) == nil && call.Method != ""
}
