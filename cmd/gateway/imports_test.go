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

func folder(path string) (string, bool) {
	rest, ours := strings.CutPrefix(path, module)
	top, _, _ := strings.Cut(rest, "/")
	return top, ours
}

// TestImports keeps the packages apart: schema knows nobody, ingest and publish
// know schema and not each other, and only cmd sees them all.
func TestImports(t *testing.T) {
	packages := list(t, module+"...")
	if len(packages) < 4 {
		t.Fatalf("only %d packages found", len(packages))
	}
	for _, p := range packages {
		from, _ := folder(p.ImportPath)
		allowed, known := arrows[from]
		if !known {
			t.Errorf("%s: there is no folder %s in the package map", p.ImportPath, from)
		}
		for _, path := range p.Imports {
			if to, ours := folder(path); ours && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
			if from != "cmd" && isWired(path) {
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
