package main

import (
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings/settingstest"
)

func TestSecretsAreNotPrintedByConfig(t *testing.T) {
	setenv(t, settingstest.SecretEnv())
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
		for _, row := range new(settings.Settings).Table() {
			switch name := strings.TrimPrefix(row.Name, settings.Prefix); {
			case strings.Contains(row.Type, "secret"):
				all[name] = wrong
			case strings.Contains(row.Type, "URL"):
				all[name] = "u:" + hush + "@" + strings.ReplaceAll(wrong, "nats://"+hush, "nats:"+hush)
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

// TestSecretsOfFilesAreNotPrintedByConfig: the same for secrets in files.
func TestSecretsOfFilesAreNotPrintedByConfig(t *testing.T) {
	given := env("NATS_URL", "nats://a", "NATS_USER", "u")
	for _, row := range new(settings.Settings).Table() {
		if strings.HasSuffix(row.Type, "(or _FILE)") && row.Name != "GATEWAY_NATS_TOKEN" { // one login
			given[strings.TrimPrefix(row.Name, settings.Prefix)+"_FILE"] = writeFile(t, settingstest.FileText(row.Name))
		}
	}
	setenv(t, given)
	status, stdout, stderr := runGateway("config")
	if status != exitDone || !strings.Contains(stdout, "(set, 1 value)") {
		t.Errorf("gateway config: status %d\n%s", status, stdout)
	}
	mustNotTell(t, "gateway config", stdout+stderr)
}
