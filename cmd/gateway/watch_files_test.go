package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

const (
	rulesFile     = "../../deploy/prometheus/postback-gateway.rules.yml"
	dashboardFile = "../../deploy/grafana/postback-gateway.json"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found returns what the first group of pattern matches, each text once.
func found(text, pattern string) []string {
	var all []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// dashboard is what is read of a Grafana dashboard.
type dashboard struct {
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Annotations struct {
		List []struct{ Expr string }
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	FieldConfig struct {
		Defaults  struct{ Unit string }
		Overrides []struct{ Properties []struct{ ID string } }
	}
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ Expr string }
}

func (p *panel) hasUnit() bool {
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if property.ID == "unit" {
				return true
			}
		}
	}
	return p.FieldConfig.Defaults.Unit != ""
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readText(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboard: each panel can be told by its id, says what it shows and in which
// unit, and covers no other one.
func TestDashboard(t *testing.T) {
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("%s: id %d is missing or not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Description == "" || !p.hasUnit() || len(p.Targets) == 0) {
			t.Errorf("%s has no description, no unit or no query", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %q or outside", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
	if len(ids) < 30 {
		t.Errorf("only %d panels", len(ids))
	}
}

// TestAlertsAreExplained: each alert has an entry in the runbook, which its
// runbook_url names, and each entry an alert.
func TestAlertsAreExplained(t *testing.T) {
	rules, runbook := readText(t, rulesFile), readText(t, "../../docs/runbook.md")
	alerts := found(rules, `(?m)^      - alert: (\w+)$`)
	if entries := found(runbook, `(?m)^## (Gateway\w+)$`); !slices.Equal(alerts, entries) || len(alerts) < 20 {
		t.Errorf("alerts  %v\nrunbook %v", alerts, entries)
	}
	for block := range strings.SplitSeq(rules, "      - alert: ") {
		name, rest, _ := strings.Cut(block, "\n")
		if !slices.Contains(alerts, name) {
			continue // what stands before the first one
		}
		for _, want := range []string{"severity: ", "summary: ", "description: ", "docs/runbook.md#" + strings.ToLower(name) + "\n"} {
			if !strings.Contains(rest, want) {
				t.Errorf("%s has no %q", name, want)
			}
		}
	}
}

// TestAlertsAreTested: promtool sees each alert firing and not firing.
func TestAlertsAreTested(t *testing.T) {
	files, err := filepath.Glob("../../deploy/prometheus/*_test.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	tests := ""
	for _, file := range files {
		tests += readText(t, file)
	}
	firing := found(tests, `alertname: (\w+)\n        exp_alerts:\n          - exp_labels`)
	silent := found(tests, `alertname: (\w+)\n        exp_alerts: \[\]`)
	alerts := found(readText(t, rulesFile), `(?m)^      - alert: (\w+)$`)
	if !slices.Equal(firing, alerts) || !slices.Equal(silent, alerts) {
		t.Errorf("alerts %v\nfiring %v\nsilent %v", alerts, firing, silent)
	}
}

// TestMetricsAreDocumented: the reference has every metric of a scrape, and every one
// that a rule, the dashboard or the runbook names. What is recorded by rules has a colon
// before it.
func TestMetricsAreDocumented(t *testing.T) {
	p := startGateway(t, t.TempDir())
	p.post(p.secret(), simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a"}))
	_, scrape := p.get(p.at.Admin + "/metrics")
	p.terminate()
	documented := found(readText(t, "../../docs/metrics.md"), "(?m)^\\| `(gateway_\\w+)`(?:, `gateway_\\w+`)* \\|")
	shown := found(scrape, `(?m)^# TYPE (gateway_\w+) `)
	if len(shown) < 25 {
		t.Errorf("only %d metrics in a scrape", len(shown))
	}
	used := readText(t, rulesFile) + readText(t, dashboardFile) + readText(t, "../../docs/runbook.md")
	for _, name := range append(shown, found(used, `[^:a-z_](gateway_[a-z_]+[a-z])`)...) {
		plain := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if !slices.Contains(documented, name) && !slices.Contains(documented, plain) {
			t.Errorf("docs/metrics.md does not have %s", name)
		}
	}
}
