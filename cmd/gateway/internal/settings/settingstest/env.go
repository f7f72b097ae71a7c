package settingstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const prefix = "GATEWAY_"

// Secret is part of every secret of the tests that check that none is printed.
const Secret = "hunter2"

// Env returns settings from pairs of a name, without GATEWAY_, and a value.
func Env(pairs ...string) map[string]string {
	all := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

// Set makes the environment have these settings, named without GATEWAY_, and no others.
func Set(t *testing.T, env map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix) {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(prefix+name, value)
	}
}

// SecretEnv returns all settings that are secrets, each with [Secret] in it. Two of them
// are logins, so loading them is an error.
func SecretEnv() map[string]string {
	return Env(
		"ADMIN_TOKEN", Secret,
		"META_APP_SECRETS", Secret+"a,"+Secret+"b",
		"META_VERIFY_TOKEN", Secret,
		"TELEGRAM_SECRETS", "bot:"+Secret,
		"FORWARD", "meta=https://u:"+Secret+"@bot/"+Secret,
		"NATS_URL", "nats://u:"+Secret+"@a:4222,nats://"+Secret+"@b:4222",
		"NATS_USER", "u",
		"NATS_PASSWORD", Secret,
		"NATS_TOKEN", Secret,
		"EMBEDDED_TOKEN", Secret,
		"OTLP_ENDPOINT", "https://u:"+Secret+"@otlp:4318/v1?key="+Secret,
	)
}

// NewFile returns the path of a new file.
func NewFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	WriteFile(t, path, content)
	return path
}

// WriteFile writes a file that only its owner can read.
func WriteFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// CheckNoSecret fails the test if text contains [Secret], or is empty.
func CheckNoSecret(t *testing.T, where, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: nothing to check", where)
	}
	if strings.Contains(text, Secret) || strings.Contains(text, fmt.Sprintf("%x", Secret)) || strings.Contains(text, fmt.Sprint([]byte(Secret))) {
		t.Errorf("%s contains a secret: %s", where, text)
	}
}
