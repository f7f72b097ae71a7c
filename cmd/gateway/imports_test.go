package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/postback-gateway/gateway/"

// arrows says which of our packages each folder may import. Nothing imports cmd.
var arrows = map[string][]string{
	"schema":  {"schema"},
	"ingest":  {"ingest", "schema"},
	"publish": {"publish", "schema"},
	"cmd":     {"ingest", "publish", "schema"},
	"deploy":  {},
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Standard"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// wired are the modules that only cmd joins with the rest: the others know the
// tracing API and not what makes and sends the spans.
var wired = []string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters"}

func isWired(path string) bool {
	return slices.ContainsFunc(wired, func(begin string) bool { return strings.HasPrefix(path, begin) })
}

const internal = "cmd/gateway/internal/"

// internals says which internal packages of the gateway each of them may import, and
// which other packages of ours. The commands import all but their test helpers.
var internals = map[string][]string{
	"settings":              {},
	"settings/settingstest": {},
	"logging":               {},
	"tracing":               {},
	"admin":                 {},
	"compare":               {"ingest/simulate"},
	"doctor":                {"ingest", "publish/monitor", "schema"},
	"console":               {internal + "doctor", "ingest", "ingest/simulate", "publish/analytics", "publish/monitor", "publish/natsconn", "publish/replay", "publish/stream", "schema"},
	"reload":                {internal + "settings"},
	"forward":               {"publish", "publish/monitor", "publish/natsconn", "publish/stream", "schema"},
	"server":                {internal + "admin", internal + "console", internal + "doctor", internal + "forward", internal + "reload", internal + "settings", internal + "tracing", "ingest", "publish", "publish/embedded", "publish/fallback", "publish/monitor", "publish/natsconn", "publish/relay", "publish/replay", "publish/stream", "schema"},
}

// folder returns the path within the module, and its first part.
func folder(path string) (rest, top string, ours bool) {
	rest, ours = strings.CutPrefix(path, module)
	top, _, _ = strings.Cut(rest, "/")
	return rest, top, ours
}

// TestImports keeps the packages apart: schema knows nobody, ingest and publish
// know schema and not each other, and only cmd sees them all. Within cmd, settings and
// admin know no other part, and only the commands and server see several.
func TestImports(t *testing.T) {
	packages := list(t, module+"...")
	if len(packages) < 4 {
		t.Fatalf("only %d packages found", len(packages))
	}
	for _, p := range packages {
		rest, from, _ := folder(p.ImportPath)
		allowed, known := arrows[from]
		if !known {
			t.Errorf("%s: there is no folder %s in the package map", p.ImportPath, from)
		}
		part, isInternal := strings.CutPrefix(rest, internal)
		if _, known := internals[part]; isInternal && !known {
			t.Errorf("%s: there is no package %s in the map of cmd/gateway", p.ImportPath, part)
		}
		for _, path := range p.Imports {
			full, to, ours := folder(path)
			switch {
			case ours && isInternal && !slices.Contains(internals[part], full):
				t.Errorf("%s imports %s", p.ImportPath, path)
			case ours && !slices.Contains(allowed, to) && !(from == "cmd" && to == "cmd"):
				t.Errorf("%s imports %s", p.ImportPath, path)
			case from != "cmd" && isWired(path):
				t.Errorf("%s imports %s, which is for cmd alone", p.ImportPath, path)
			}
		}
	}
}

// TestSchemaIsStandardLibraryOnly: consumers import it, and nothing with it.
func TestSchemaIsStandardLibraryOnly(t *testing.T) {
	for _, p := range list(t, "-deps", module+"schema") {
		if !p.Standard && p.ImportPath != module+"schema" {
			t.Errorf("schema depends on %s", p.ImportPath)
		}
	}
}
