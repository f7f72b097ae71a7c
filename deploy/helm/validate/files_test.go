package validate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	rulesOriginal = root + "/deploy/prometheus/postback-gateway.rules.yml"
	rulesCopy     = chart + "/files/postback-gateway.rules.yml"
)

// A chart can read no file outside of its folder.
func TestTheRulesAreThoseOfPrometheus(t *testing.T) {
	if _, err := os.Stat(filepath.Dir(rulesOriginal)); errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no deploy/prometheus in this tree to compare with")
	}
	if read(t, rulesCopy) != read(t, rulesOriginal) {
		t.Errorf("%s is not like %s: run make helm-rules", rulesCopy, rulesOriginal)
	}
}

// The rules hold templates of Prometheus, which look like those of Helm.
func TestTheRulesAreRenderedAsTheyAre(t *testing.T) {
	var want monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict([]byte(read(t, rulesCopy)), &want); err != nil {
		t.Fatal(err)
	}
	got := one[*monitoring.PrometheusRule](t, render(t, "everything", "")).Spec
	if len(want.Groups) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("the PrometheusRule has %d groups that differ from the %d of the file", len(got.Groups), len(want.Groups))
	}
}

var example = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Each example of the README is a whole set of values.
func TestTheReadmesExamples(t *testing.T) {
	examples := example.FindAllStringSubmatch(read(t, filepath.Join(chart, "README.md")), -1)
	if len(examples) < 3 {
		t.Fatalf("found %d examples: expected at least 3", len(examples))
	}
	for _, found := range examples {
		name, _, _ := strings.Cut(found[1], "\n")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := render(t, "minimal", found[1])
			out, err := command(t, inside(t, m, t.TempDir()), "config").CombinedOutput()
			if err != nil {
				t.Errorf("gateway config: %v\n%s", err, out)
			}
		})
	}
}

func TestTheReadmeNamesValuesThatExist(t *testing.T) {
	v := loadValues(t)
	names := regexp.MustCompile("`([a-z][A-Za-z]*(?:\\.[A-Za-z_]+)+|mode|replicas)`")
	found := names.FindAllStringSubmatch(read(t, filepath.Join(chart, "README.md")), -1)
	if len(found) < 15 {
		t.Errorf("found %d names of values: expected at least 15", len(found))
	}
	for _, name := range found {
		if !v.has(name[1]) && !strings.HasSuffix(name[1], ".yaml") && !strings.HasSuffix(name[1], ".md") && !strings.HasPrefix(name[1], "kubernetes.") {
			t.Errorf("the README names %s: expected a value", name[1])
		}
	}
}
