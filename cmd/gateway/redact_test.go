package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// hush stands in every secret of these tests, and must not be printed.
const hush = "hunter2"

func secretSettings(t *testing.T) settings {
	t.Helper()
	setenv(t, map[string]string{
		"META_APP_SECRETS":  hush + "a," + hush + "b",
		"META_VERIFY_TOKEN": hush,
		"TELEGRAM_SECRETS":  "bot:" + hush,
		"NATS_URL":          "nats://u:" + hush + "@a:4222,nats://" + hush + "@b:4222",
		"NATS_USER":         "u",
		"NATS_PASSWORD":     hush,
		"NATS_TOKEN":        hush,
		"EMBEDDED_TOKEN":    hush,
		"OTLP_ENDPOINT":     "https://u:" + hush + "@otlp:4318/v1?key=" + hush,
	})
	s, err := loadSettings()
	mustNotTell(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err))
	return s
}

func mustNotTell(t *testing.T, where, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: nothing to look at", where)
	}
	if strings.Contains(text, hush) || strings.Contains(text, fmt.Sprintf("%x", hush)) || strings.Contains(text, fmt.Sprint([]byte(hush))) {
		t.Errorf("%s tells a secret: %s", where, text)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s := secretSettings(t)
	if got := s.NATSPassword.reveal(); got != hush {
		t.Fatalf("got %q: nothing to hide", got)
	}
	// fmt calls no methods on what is in an unexported field.
	wrapped := struct{ inner *struct{ cfg settings } }{&struct{ cfg settings }{s}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{s, &s, *wrapped.inner, s.MetaAppSecrets, s.NATSURL, s.NATSPassword, &s.NATSPassword, s.OTLPEndpoint} {
			mustNotTell(t, verb, fmt.Sprintf(verb, value))
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	mustNotTell(t, "JSON", string(text))
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("start", "settings", s, "secrets", s.MetaAppSecrets, "secret", s.NATSToken, "url", s.OTLPEndpoint, "urls", s.NATSURL, "wrapped", *wrapped.inner)
	}
	mustNotTell(t, "the log", log.String())
}

func TestSecretsAreNotPrintedByConfig(t *testing.T) {
	secretSettings(t)
	_, stdout, stderr := runGateway("config")
	mustNotTell(t, "stdout", stdout)
	mustNotTell(t, "stderr", stderr)
	for _, want := range []string{"(set, 2 values)", "nats://u:***@a:4222,nats://***@b:4222", "https://u:***@otlp:4318/v1?***"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("config does not show %s:\n%s", want, stdout)
		}
	}
}

func TestSecretsAreNotPrintedWhereTheyAreWrong(t *testing.T) {
	for _, wrong := range []string{hush + " ", hush + "\n", "," + hush, hush + ":" + hush + ":" + hush, "nats://" + hush, "nats://u:1/" + hush + "@a", hush + "@a:4222", "x://" + hush + "@a", "nats://a:1\x7f" + hush} {
		all := make(map[string]string)
		for _, v := range new(settings).variables() {
			switch v.field.Interface().(type) {
			case secret, []secret:
				all[strings.TrimPrefix(v.name, envPrefix)] = wrong
			case secretURL, []secretURL:
				all[strings.TrimPrefix(v.name, envPrefix)] = "u:" + hush + "@" + strings.ReplaceAll(wrong, "nats://"+hush, "nats:"+hush)
			}
		}
		setenv(t, all)
		status, stdout, stderr := runGateway("config")
		mustNotTell(t, "stdout", stdout)
		mustNotTell(t, "stderr", stderr)
		if status != exitUsage {
			t.Errorf("%q: exit status %d", wrong, status)
		}
	}
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
		if got := newSecretURL(test.url).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.url, got, test.want)
		}
	}
}

func TestUnsetSecret(t *testing.T) {
	var s secret
	var u secretURL
	if s.set() || s.reveal() != "" || s.String() != notSet || u.String() != notSet {
		t.Errorf("got %v %q %v %v", s.set(), s.reveal(), s, u)
	}
}

// TestSecretsInFilesAreNotPrinted: the same for secrets that stand in files, now and
// when these change to something wrong.
func TestSecretsInFilesAreNotPrinted(t *testing.T) {
	given := env("NATS_URL", "nats://a", "NATS_USER", "u")
	for _, v := range new(settings).variables() {
		if v.fileToo() && v.name != "GATEWAY_NATS_TOKEN" { // one login
			given[strings.TrimPrefix(v.name, envPrefix)+fileSuffix] = writeFile(t, "bot:"+hush)
		}
	}
	setenv(t, given)
	s, err := loadSettings()
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		mustNotTell(t, verb, fmt.Sprintf(verb, s))
	}
	status, stdout, stderr := runGateway("config")
	if status != exitDone || !strings.Contains(stdout, "(set, 1 value)") {
		t.Errorf("gateway config: status %d\n%s", status, stdout)
	}
	mustNotTell(t, "gateway config", stdout+stderr)

	var log bytes.Buffer
	r := newRotation(&s, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	r.watch()
	if len(r.files.files) < 5 {
		t.Fatalf("%d files are watched", len(r.files.files))
	}
	refused := 0
	for _, wrong := range []string{"", hush + "\n" + hush, "," + hush, hush + ":" + hush + ":" + hush, hush + "\x00", "bot:" + hush + ","} {
		for i, f := range s.secretFiles {
			put(t, f.path, wrong)
			r.files.look()
			r.files.look()
			if r.files.files[i].wrong != "" {
				refused++
				mustNotTell(t, f.variable, r.files.files[i].wrong)
			}
		}
	}
	if refused < 15 {
		t.Errorf("only %d wrong files were refused", refused)
	}
	mustNotTell(t, "the log", log.String())
	mustNotTell(t, "the settings of now", fmt.Sprintf("%+v %#v", *r.live.Load(), r.live.Load()))
}
