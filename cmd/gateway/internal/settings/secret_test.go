package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings/settingstest"
)

const hush = settingstest.Secret

func TestSecretsAreNotPrinted(t *testing.T) {
	s := secretSettings(t)
	if got := s.NATSPassword.Reveal(); got != hush {
		t.Fatalf("got %q: nothing to hide", got)
	}
	// fmt calls no methods on what is in an unexported field.
	wrapped := struct{ inner *struct{ cfg Settings } }{&struct{ cfg Settings }{s}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{s, &s, *wrapped.inner, s.MetaAppSecrets, s.NATSURL, s.NATSPassword, &s.NATSPassword, s.OTLPEndpoint} {
			settingstest.CheckNoSecret(t, verb, fmt.Sprintf(verb, value))
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	settingstest.CheckNoSecret(t, "JSON", string(text))
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("start", "settings", s, "secrets", s.MetaAppSecrets, "secret", s.NATSToken, "url", s.OTLPEndpoint, "urls", s.NATSURL, "wrapped", *wrapped.inner)
	}
	settingstest.CheckNoSecret(t, "the log", log.String())
}

func TestMaskURL(t *testing.T) {
	tests := []struct{ url, want string }{
		{"nats://a:4222", "nats://a:4222"},
		{"wss://a/nats", "wss://a/nats"},
		{"nats://u:p@a", "nats://u:***@a"},
		{"nats://u:@a", "nats://u:***@a"},
		{"nats://t@a", "nats://***@a"},
		{"https://a?k=v", "https://a?***"},
		{"https://a#k", "https://a?***"},
		{"nats://u:1/p@a", "***"},
		{"nats:p@a", "***"},
		{"u:p@a:4222", "***"},
		{"nats://u:p@a:port", "***"},
		{"p", "***"},
	}
	for _, test := range tests {
		if got := newURL(test.url).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.url, got, test.want)
		}
	}
}

func TestUnsetSecret(t *testing.T) {
	var s Secret
	if s.IsSet() || s.Reveal() != "" || s.String() != notSet {
		t.Errorf("got %v %q %v", s.IsSet(), s.Reveal(), s)
	}
}

func secretSettings(t *testing.T) Settings {
	t.Helper()
	setenv(t, settingstest.SecretEnv())
	s, err := Load()
	settingstest.CheckNoSecret(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err))
	return s
}
