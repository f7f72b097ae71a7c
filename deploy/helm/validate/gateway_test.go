package validate

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	core "k8s.io/api/core/v1"
)

// gateway is the path of the real program.
var gateway = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "gateway")
	build := exec.Command("go", "build", "-o", path, "./cmd/gateway")
	build.Dir = root
	out, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build ./cmd/gateway: %w\n%s", err, out)
	}
	return path, err
})

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "validate-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// command is the gateway with nothing in its environment but what is given.
func command(t *testing.T, env map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := gateway()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = t.TempDir(), []string{"HOME=" + t.TempDir()}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// setting is one row of the gateway's reference.
type setting struct {
	secret bool // may be given in a file
	later  bool // not built yet
}

var row = regexp.MustCompile("^\\| `GATEWAY_([A-Z_]+)` \\| ([^|]*) \\| [^|]* \\| (.*) \\|$")

// settings are those that the gateway says it has, without GATEWAY_.
func settings(t *testing.T) map[string]setting {
	t.Helper()
	out, err := command(t, nil, "config", "--markdown").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]setting{}
	for line := range strings.Lines(string(out)) {
		if found := row.FindStringSubmatch(strings.TrimSpace(line)); found != nil {
			all[found[1]] = setting{secret: strings.Contains(found[2], "_FILE"), later: strings.Contains(found[3], notBuilt)}
		}
	}
	if len(all) < 30 || !all["META_APP_SECRETS"].secret || all["LISTEN"].secret {
		t.Fatalf("gateway config --markdown has %d settings: expected a table with at least 30, META_APP_SECRETS a secret and LISTEN none", len(all))
	}
	return all
}

// notBuilt is what the gateway and the chart say of what is still to come.
const notBuilt = "Not built yet"

func TestEveryVariableIsASetting(t *testing.T) {
	known := settings(t)
	forEachSet(t, func(t *testing.T, m manifests) {
		env := m.environment(t)
		if env["GATEWAY_ADMIN_LISTEN"] == "" {
			t.Error("no GATEWAY_ADMIN_LISTEN: the environment was not found")
		}
		for name := range env {
			short, ours := strings.CutPrefix(name, "GATEWAY_")
			base, file := strings.CutSuffix(short, "_FILE")
			if s, ok := known[base]; ours && (!ok || file && !s.secret) {
				t.Errorf("%s is not a setting of the gateway", name)
			}
		}
	})
}

// A secret is given by its file alone.
func TestSecretsAreFilesOnly(t *testing.T) {
	known := settings(t)
	forEachSet(t, func(t *testing.T, m manifests) {
		for name := range m.environment(t) {
			if short, ours := strings.CutPrefix(name, "GATEWAY_"); ours && known[short].secret {
				t.Errorf("%s stands in the environment: expected %s_FILE", name, name)
			}
		}
	})
	const marker = "no-one-may-see-this"
	var given strings.Builder
	given.WriteString("consumers: {enabled: true}\nsecrets: {values: {")
	for name, s := range known {
		if s.secret && !strings.HasPrefix(name, "NATS_") {
			fmt.Fprintf(&given, "%s: %s-%s, ", name, marker, name)
		}
	}
	m := render(t, "minimal", given.String()+"}}")
	for _, one := range m {
		if one.kind != "Secret" && strings.Contains(one.text, marker) {
			t.Errorf("the %s holds a secret:\n%s", one.kind, one.text)
		}
	}
	secret := one[*core.Secret](t, m)
	for name, value := range secret.Data {
		if string(value) != marker+"-"+name {
			t.Errorf("the Secret has %q for %s", value, name)
		}
	}
	if len(secret.Data) < 4 {
		t.Errorf("the Secret holds %d secrets: expected at least 4", len(secret.Data))
	}
}

// The chart knows every setting: as a value, or because it sets it itself. A new
// one fails here.
func TestEverySettingIsAValue(t *testing.T) {
	known := settings(t)
	values := loadValues(t)
	var in []string
	for _, path := range []string{"settings", "secrets.values", "secrets.keys"} {
		for name := range values.at(t, path) {
			in = append(in, name)
			if _, ok := known[name]; !ok {
				t.Errorf("values.yaml has %s.%s, which is not a setting", path, name)
			}
		}
	}
	checks, err := os.ReadFile(filepath.Join(chart, "templates", "_checks.tpl"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range known {
		managed := strings.Contains(string(checks), `"`+name+`"`)
		if !slices.Contains(in, name) && !managed {
			t.Errorf("the chart knows no %s: expected it in settings or secrets of values.yaml, or set by a template and in the list of templates/_checks.tpl that extraEnv may not have", name)
		}
	}
}

// What is not built yet is said to be so as long as it is true.
func TestNotBuiltYetIsTrue(t *testing.T) {
	values := loadValues(t)
	paths := map[string]string{"TLS_CLIENT_CA": "tls.clientCA"}
	for name, s := range settings(t) {
		path := paths[name]
		switch {
		case values.has("settings." + name):
			path = "settings." + name
		case values.has("secrets.keys." + name):
			path = "secrets.keys." + name
		case path == "":
			if s.later {
				t.Errorf("%s is not built yet, and values.yaml has no value to say so", name)
			}
			continue
		}
		if said := strings.Contains(values.comment(path), notBuilt); said != s.later {
			t.Errorf("the comment of %s in values.yaml says that it is not built yet: %v; the gateway: %v", path, said, s.later)
		}
	}
}

// inside returns env with the files of the pod's volumes made in dir, and every
// path in the container replaced by that in dir.
func inside(t *testing.T, m manifests, dir string) map[string]string {
	t.Helper()
	w := m.workload(t)
	mounts := map[string]string{}
	for _, mount := range w.container(t).VolumeMounts {
		mounts[mount.Name] = mount.MountPath
	}
	write := func(volume, path string) {
		file := filepath.Join(dir, mounts[volume], path)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(contentFor(path)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, volume := range w.pod.Spec.Volumes {
		var items []core.KeyToPath
		if volume.Secret != nil {
			items = volume.Secret.Items
		}
		if volume.ConfigMap != nil {
			items = volume.ConfigMap.Items
		}
		for _, item := range items {
			write(volume.Name, item.Path)
		}
	}
	env := m.environment(t)
	for name, value := range env {
		if strings.HasPrefix(value, "/") {
			env[name] = filepath.Join(dir, value)
		}
	}
	return env
}

// contentFor is a secret that fits the setting whose file it is.
func contentFor(path string) string {
	if path == "FORWARD" {
		return "meta=http://bot/hook"
	}
	if path == "TELEGRAM_SECRETS" {
		return "bot:word"
	}
	return "word"
}

// The gateway takes the settings of every set, with the files where the volumes
// have them.
func TestTheGatewayTakesTheSettings(t *testing.T) {
	forEachSet(t, func(t *testing.T, m manifests) {
		out, err := command(t, inside(t, m, t.TempDir()), "config").CombinedOutput()
		if err != nil || strings.Contains(string(out), "is not a setting") {
			t.Errorf("gateway config: %v\n%s", err, out)
		}
	})
}

// up starts the gateway with the settings of a set, on any free ports of the
// loopback, and returns the base addresses of its listeners.
func up(t *testing.T, m manifests) (webhook, admin string) {
	t.Helper()
	env := inside(t, m, t.TempDir())
	for _, name := range []string{"GATEWAY_LISTEN", "GATEWAY_ADMIN_LISTEN"} {
		if !strings.HasPrefix(env[name], ":") {
			t.Errorf("%s is %q: expected one that is reached on the pod's address", name, env[name])
		}
		env[name] = "127.0.0.1:0"
	}
	env["GATEWAY_EMBEDDED_LISTEN"] = "off"
	cmd := command(t, env, containerOf(t, m).Args...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, log)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	var seen []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		seen = append(seen, lines.Text())
		var line struct{ Msg, Webhook, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "gateway is up" {
			return line.Webhook, line.Admin
		}
	}
	t.Fatalf("the gateway did not come up:\n%s", strings.Join(seen, "\n"))
	return "", ""
}

func containerOf(t *testing.T, m manifests) core.Container { return m.workload(t).container(t) }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Every path that the chart names is one of the real gateway's.
func TestPathsOfARunningGateway(t *testing.T) {
	minimal, everything := render(t, "minimal", ""), render(t, "everything", "")
	webhook, admin := up(t, minimal)
	var paths []string
	for _, probe := range []*core.Probe{containerOf(t, minimal).StartupProbe, containerOf(t, minimal).LivenessProbe, containerOf(t, minimal).ReadinessProbe} {
		paths = append(paths, probe.HTTPGet.Path)
	}
	if want := []string{"/healthz", "/healthz", "/readyz"}; !slices.Equal(paths, want) {
		t.Errorf("the probes ask for %q, want %q", paths, want)
	}
	for _, path := range append(paths, scrapePath(t, everything)) {
		if status, body := get(t, admin+path); status != http.StatusOK {
			t.Errorf("%s answers %d: %s", path, status, body)
		}
	}
	for _, path := range webhookPaths(t, everything) {
		status, _ := get(t, webhook+path+"/meta")
		if status != http.StatusBadRequest { // a handshake without its parameters
			t.Errorf("%s/meta answers %d: expected 400, as the webhook does", path, status)
		}
	}
}
