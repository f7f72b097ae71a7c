package main

import (
	"log/slog"
	"net/url"
	"strings"
)

// secret is a text that no log, error, dump or JSON shows. The text is behind a
// pointer because fmt calls no methods on values in unexported fields: there a
// plain string would be printed. The zero secret is not set.
type secret struct{ text *string }

func newSecret(text string) secret { return secret{&text} }

// set tells whether there is a secret at all.
func (s secret) set() bool { return s.text != nil }

// reveal returns the text, for the one place that needs it.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String tells only whether the secret is set.
func (s secret) String() string {
	if s.set() {
		return "(set)"
	}
	return notSet
}

// GoString is String, for %#v.
func (s secret) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, for JSON and other encodings.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// revealAll returns the texts of a list of secrets or of URLs.
func revealAll[T interface{ reveal() string }](list []T) []string {
	texts := make([]string, len(list))
	for i, entry := range list {
		texts[i] = entry.reveal()
	}
	return texts
}

// secretURL is a URL that may carry a password: what it prints has that masked.
type secretURL struct{ secret }

func newSecretURL(text string) secretURL { return secretURL{newSecret(text)} }

// String returns the URL with everything masked that may be a secret.
func (u secretURL) String() string {
	if !u.set() {
		return notSet
	}
	return maskURL(u.reveal())
}

// GoString is String, for %#v.
func (u secretURL) GoString() string { return u.String() }

// LogValue is String, for slog.
func (u secretURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText is String, for JSON and other encodings.
func (u secretURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// maskURL shows scheme, user, host and path of a URL. A user without a password
// is masked too, for NATS reads it as a token, and so is all of a text that is
// not understood: the password may be anywhere in it.
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
