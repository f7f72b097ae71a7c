package reload

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings/settingstest"
)

// TestAdminTokenRotates: like every secret, the token is loaded again when its file
// changes.
func TestAdminTokenRotates(t *testing.T) {
	path := settingstest.NewFile(t, "old\n")
	settingstest.Set(t, settingstest.Env("ADMIN_TOKEN_FILE", path))
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	secrets := NewSecrets(&s, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	secrets.WatchSecrets()
	settingstest.WriteFile(t, path, "new\n")
	for range 2 {
		secrets.poll()
	}
	if got := secrets.AdminToken(); got != "new" {
		t.Errorf("the token is %q, want that of the changed file", got)
	}
}

// TestSecretsInFilesAreNotPrinted: not those in use, and not those that cannot be used.
func TestSecretsInFilesAreNotPrinted(t *testing.T) {
	const hush = settingstest.Secret
	given := settingstest.Env("NATS_URL", "nats://a", "NATS_USER", "u")
	for _, row := range new(settings.Settings).Table() {
		if strings.HasSuffix(row.Type, "(or _FILE)") && row.Name != "GATEWAY_NATS_TOKEN" { // one login
			text := "bot:" + hush
			if row.Name == "GATEWAY_FORWARD" {
				text = "telegram/bot=https://bot/" + hush
			}
			given[strings.TrimPrefix(row.Name, settings.Prefix)+"_FILE"] = settingstest.NewFile(t, text)
		}
	}
	settingstest.Set(t, given)
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		settingstest.CheckNoSecret(t, verb, fmt.Sprintf(verb, s))
	}
	var log bytes.Buffer
	r := NewSecrets(&s, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	r.WatchSecrets()
	if len(r.groups) < 5 {
		t.Fatalf("%d files are watched", len(r.groups))
	}
	failed := 0
	for _, wrong := range []string{"", hush + "\n" + hush, "," + hush, hush + ":" + hush + ":" + hush, hush + "\x00", "bot:" + hush + ","} {
		for i, file := range s.SecretFiles() {
			settingstest.WriteFile(t, file.Path, wrong)
			r.poll()
			r.poll()
			if r.groups[i].failed != "" {
				failed++
				settingstest.CheckNoSecret(t, file.Variable, r.groups[i].failed)
			}
		}
	}
	if failed < 15 {
		t.Errorf("only %d wrong files were rejected", failed)
	}
	settingstest.CheckNoSecret(t, "the log", log.String())
	settingstest.CheckNoSecret(t, "the current settings", fmt.Sprintf("%+v %#v", *r.current.Load(), r.current.Load()))
}
