package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const unitPath = "systemd/postback-gateway.service"

// unit returns the values of each key of the unit, in their order.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(string(mustRead(t, unitPath))) {
		key, value, is := strings.Cut(strings.TrimSpace(line), "=")
		if is && !strings.HasPrefix(key, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}

// TestSystemdUnit: what the unit says of the gateway is what the gateway does.
func TestSystemdUnit(t *testing.T) {
	u := unit(t)
	state, credentials := "/var/lib/"+u["StateDirectory"][0], t.TempDir()
	var env []string
	for _, one := range u["Environment"] {
		env = append(env, strings.NewReplacer("%S", "/var/lib", "%d", credentials).Replace(one))
	}
	for _, one := range u["LoadCredential"] {
		name, _, _ := strings.Cut(one, ":")
		if err := os.WriteFile(filepath.Join(credentials, name), []byte("secret\n"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	mustBeSettings(t, env)
	if want := "GATEWAY_DATA_DIR=" + state; !slices.Contains(env, want) {
		t.Errorf("environment %q, expected %s: the one directory that the gateway can write to", env, want)
	}
	grace, err := time.ParseDuration(u["TimeoutStopSec"][0])
	if need := duration(t, "GATEWAY_SHUTDOWN_TIMEOUT"); err != nil || grace <= need {
		t.Errorf("TimeoutStopSec is %v (%v), expected more than GATEWAY_SHUTDOWN_TIMEOUT (%s)", grace, err, need)
	}
	if fields := strings.Fields(u["RestartPreventExitStatus"][0]); !slices.Contains(fields, "2") || u["Restart"][0] != "on-failure" {
		t.Errorf("Restart=%v RestartPreventExitStatus=%v, expected on-failure, and not after 2", u["Restart"], fields)
	}
}

// systemdAnalyze runs it on the unit, with a gateway that is there.
func systemdAnalyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		cannot(t, "SYSTEMD", "systemd-analyze is not installed: apt-get install systemd")
	}
	text := bytes.Replace(mustRead(t, unitPath), []byte("/usr/local/bin/gateway"), []byte(program(t, "gateway")), 1)
	path := filepath.Join(t.TempDir(), filepath.Base(unitPath))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", append(args, path)...).CombinedOutput()
	return string(out), err
}

// TestSystemdVerify: a key or a value that systemd does not know is a warning, and
// no failure, so there has to be no output.
func TestSystemdVerify(t *testing.T) {
	if out, err := systemdAnalyze(t, "verify", "--man=no"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSystemdSecurity: at most 1.5 of 10. What is left is the network, which it is for.
func TestSystemdSecurity(t *testing.T) {
	if out, err := systemdAnalyze(t, "security", "--offline=true", "--no-pager", "--threshold=15"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
