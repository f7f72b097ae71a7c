package settings

import (
	"log/slog"
	"net/url"
	"strings"
)

// Secret is a text that no log, error, dump or JSON shows. The text is behind a pointer
// because fmt calls no methods on values in unexported fields: it would print a plain
// string there. The zero Secret is not set.
type Secret struct {
	text  *string
	isURL bool // shown, with everything masked that may be a secret
}

// NewSecret returns a secret that is set.
func NewSecret(text string) Secret { return Secret{text: &text} }

// newURL returns a URL, which may contain a password.
func newURL(text string) Secret { return Secret{&text, true} }

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.text != nil }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String shows only whether the secret is set, or a URL without its password.
func (s Secret) String() string {
	switch {
	case !s.IsSet():
		return notSet
	case s.isURL:
		return maskURL(*s.text)
	default:
		return "(set)"
	}
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, for JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// RevealAll returns the texts of a list.
func RevealAll(list []Secret) []string {
	texts := make([]string, len(list))
	for i, entry := range list {
		texts[i] = entry.Reveal()
	}
	return texts
}

// maskURL shows scheme, user, host and path of a URL. A user without a password is
// masked too: NATS uses it as a token. A text that is not a URL is masked completely:
// the password may be anywhere in it.
func maskURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Path, "@") {
		return masked
	}
	shown := u.Scheme + "://" + maskUser(u.User) + u.Host + u.EscapedPath()
	if u.RawQuery != "" || u.Fragment != "" {
		shown += "?" + masked
	}
	return shown
}

func maskUser(user *url.Userinfo) string {
	if user == nil {
		return ""
	}
	if _, ok := user.Password(); ok {
		return user.Username() + ":" + masked + "@"
	}
	return masked + "@"
}

const (
	masked = "***"
	notSet = "(not set)"
)
