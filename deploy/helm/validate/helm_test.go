package validate

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

const (
	root     = "../../.."
	chart    = "../postback-gateway"
	testdata = "../testdata"

	release   = "trial"
	namespace = "bots"
	// Helm cannot ask a cluster here, and a helm that is built from its module believes in an old one.
	kubeVersion = "1.34.0"
)

// valueSets are the names of the files ../testdata/values-<name>.yaml.
func valueSets(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testdata, "values-*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d sets of values in %s, %v: expected at least 5", len(files), testdata, err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "values-"), ".yaml")
	}
	return files
}

func valueFile(set string) string { return filepath.Join(testdata, "values-"+set+".yaml") }

// helm runs helm and returns what it wrote; the error is what it complained of.
func helm(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	program := os.Getenv("HELM")
	if program == "" {
		t.Fatal("the variable HELM is not set: expected the path of helm, as make helm sets it")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	// What the user's own helm has configured is not for tests.
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CONFIG_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = errors.New(strings.TrimSpace(stdout.String() + stderr.String()))
	}
	return stdout.String(), err
}

// template renders the chart with a file of values and further ones as YAML.
func template(t *testing.T, file, more string, args ...string) (string, error) {
	t.Helper()
	args = append([]string{"template", release, chart, "--namespace", namespace, "--kube-version", kubeVersion, "--values", file, "--values", "-"}, args...)
	return helm(t, more, args...)
}

// render is template for values that the chart takes.
func render(t *testing.T, set, more string, args ...string) manifests {
	t.Helper()
	out, err := template(t, valueFile(set), more, args...)
	if err != nil {
		t.Fatalf("helm template with values-%s.yaml and %q: %v", set, more, err)
	}
	return decode(t, out)
}

// forEachSet runs a test for each set of values.
func forEachSet(t *testing.T, test func(t *testing.T, m manifests)) {
	t.Helper()
	for _, set := range valueSets(t) {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			test(t, render(t, set, ""))
		})
	}
}

func TestLint(t *testing.T) {
	for _, set := range valueSets(t) {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			if _, err := helm(t, "", "lint", "--strict", "--kube-version", kubeVersion, "--values", valueFile(set), chart); err != nil {
				t.Error(err)
			}
		})
	}
}

// The archive is what users install, and it holds what the chart reads.
func TestThePackageRendersTheSame(t *testing.T) {
	dir := t.TempDir()
	if _, err := helm(t, "", "package", chart, "--destination", dir); err != nil {
		t.Fatal(err)
	}
	archives, _ := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if len(archives) != 1 {
		t.Fatalf("helm package made %q: expected one archive", archives)
	}
	want, err := template(t, valueFile("everything"), "{}")
	if err != nil {
		t.Fatal(err)
	}
	got, err := helm(t, "", "template", release, archives[0], "--namespace", namespace, "--kube-version", kubeVersion, "--values", valueFile("everything"))
	if err != nil || got != want {
		t.Errorf("the archive renders differently than the folder, %v", err)
	}
}

// A chart that has this one as a part gives it global values, and may have a
// condition.
func TestAsAPartOfAnotherChart(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "bots")
	if err := os.CopyFS(filepath.Join(parent, "charts", "postback-gateway"), os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: bots\nversion: 1.0.0\ndependencies: [{name: postback-gateway, version: 0.x.x, condition: postback-gateway.enabled}]\n",
		"values.yaml": "global: {region: eu}\npostback-gateway: {enabled: true, replicas: 1}\n",
	} {
		if err := os.WriteFile(filepath.Join(parent, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := helm(t, "", "template", release, parent, "--kube-version", kubeVersion)
	if err != nil {
		t.Fatal(err)
	}
	if m := decode(t, out); len(m.statefulSets()) != 1 {
		t.Errorf("got %d StatefulSets, want 1", len(m.statefulSets()))
	}
}

// notes renders NOTES.txt, which helm template leaves out and helm install shows
// only with a cluster: a copy of the chart has it in a ConfigMap.
func notes(t *testing.T, set, more string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "chart")
	if err := os.CopyFS(copied, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(copied, "templates", "NOTES.txt"), filepath.Join(copied, "NOTES.txt")); err != nil {
		t.Fatal(err)
	}
	wrapper := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata:\n  notes: {{ tpl (.Files.Get \"NOTES.txt\") . | quote }}\n"
	if err := os.WriteFile(filepath.Join(copied, "templates", "notes.yaml"), []byte(wrapper), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := helm(t, more, "template", release, copied, "--namespace", namespace, "--kube-version", kubeVersion,
		"--values", valueFile(set), "--values", "-", "--show-only", "templates/notes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return one[*core.ConfigMap](t, decode(t, out)).Data["notes"]
}

func TestNotes(t *testing.T) {
	tests := []struct {
		set, more string
		want      []string
		not       string
	}{
		{"minimal", "", []string{"random ones on its volume", "rollout status statefulset/trial-postback-gateway", "no HTTPS address yet", "port-forward statefulset/trial-postback-gateway 4222", "The volumes stay"}, "--token"},
		{"embedded", "", []string{"in the Secret trial-postback-gateway.", "https://HOST/webhooks/meta", "nats --token TOKEN sub 'postback.v1.>'", "nats://trial-postback-gateway-nats.bots.svc:4222"}, "random"},
		{"relay", "", []string{"moves them to tls://nats-1.example.com:4222", "in the Secret gateway-secrets.", "https://hooks.example.com/webhooks/meta"}, "4222\n     nats"},
		{"cluster", "", []string{"rollout status deployment/trial-postback-gateway", "in nats://nats.nats.svc:4222."}, "volume"},
		{"everything", "settings: {META_ALLOW_UNSIGNED: true}", []string{"--stream CLICKS", "'clicks.v1.>'", "only the namespace observability", "WARNING: META_ALLOW_UNSIGNED"}, "volume"},
	}
	for _, test := range tests {
		t.Run(test.set, func(t *testing.T) {
			t.Parallel()
			got := notes(t, test.set, test.more)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("the notes do not say %q:\n%s", want, got)
				}
			}
			if strings.Contains(got, test.not) {
				t.Errorf("the notes say %q:\n%s", test.not, got)
			}
			if strings.Contains(got, "<no value>") || strings.Contains(got, "\n\n\n") {
				t.Errorf("the notes have a gap:\n%s", got)
			}
		})
	}
}
