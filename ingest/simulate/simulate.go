package simulate

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/postback-gateway/gateway/schema"
)

// Click is what a person did.
type Click struct {
	// Kind is a button if it is empty. Each platform has some of the kinds.
	Kind    schema.Kind
	Account string
	User    string
	// UserRef is Meta's user_ref: a person whose id is not known yet.
	UserRef string
	Title   string
	// Payload is what the bot's developer put behind the button. Referrals have none. An
	// opt-in with a payload is one to a marketing message.
	Payload string
	// Ref is the parameter of the link by which the person came.
	Ref string
	// ID is the message's id. If it is empty, a random one is used, as for a new click.
	// Referrals and opt-ins have none.
	ID string
	At time.Time
}

func (c Click) id(prefix string) string {
	if c.ID != "" {
		return c.ID
	}
	return prefix + rand.Text()
}

func (c Click) at() time.Time {
	if c.At.IsZero() {
		return time.Now()
	}
	return c.At
}

// Request returns a POST of body to Meta's webhook at base, such as
// http://127.0.0.1:8080, signed with the app secret.
func Request(base, secret string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, base+"/webhooks/meta", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", Sign(secret, body))
	r.Header.Set("User-Agent", "facebookexternalua")
	return r, nil
}

// Sign returns the X-Hub-Signature-256 of body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// encode writes JSON as Meta does: non-ASCII characters and slashes escaped.
func encode(v any) []byte {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // only strings, numbers, maps and slices are encoded
	}
	var out []byte
	for _, r := range string(bytes.TrimSpace(plain.Bytes())) {
		switch {
		case r == '/':
			out = append(out, '\\', '/')
		case r <= unicode.MaxASCII:
			out = append(out, byte(r))
		case r <= 0xffff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
	}
	return out
}
