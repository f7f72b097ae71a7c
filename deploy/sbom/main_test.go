package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// bomSchema is that of CycloneDX 1.5, with the two schemas that it refers to.
func bomSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	for _, name := range []string{"bom-1.5.schema.json", "spdx.schema.json", "jsf-0.82.schema.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+name, document); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.5.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestBill takes the bill of the gateway itself.
func TestBill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/gateway").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := write(w, path, "v1.2.3"); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("the same binary has two bills")
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := bomSchema(t).Validate(document); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`"purl": "pkg:golang/github.com/postback-gateway/gateway@v1.2.3"`,
		`"purl": "pkg:golang/github.com/nats-io/nats-server/v2@v2.`,
		`"purl": "pkg:golang/std@1.`,
		`"alg": "SHA-256"`,
		`"value": "h1:`,
	} {
		if !strings.Contains(first.String(), want) {
			t.Errorf("%s is missing", want)
		}
	}
	if module := "jsonschema"; strings.Contains(first.String(), module) {
		t.Errorf("%s is in the bill, and in tests only", module)
	}
}

func TestNoBinary(t *testing.T) {
	if err := write(&bytes.Buffer{}, "main.go", ""); err == nil {
		t.Error("a text file has a bill")
	}
}

// TestReplaced: what is in the binary counts, not what go.mod asked for.
func TestReplaced(t *testing.T) {
	got := libraries(&debug.BuildInfo{GoVersion: "go1.26.0", Deps: []*debug.Module{
		{Path: "a", Version: "v1.0.0", Replace: &debug.Module{Path: "b", Version: "v2.0.0", Sum: "h1:x"}},
	}})
	want := component{Ref: "pkg:golang/b@v2.0.0", Type: "library", Name: "b", Version: "v2.0.0", PURL: "pkg:golang/b@v2.0.0"}
	if i := slices.IndexFunc(got, func(c component) bool { return c.PURL == want.PURL && c.Properties[0].Value == "h1:x" }); i != 1 {
		t.Errorf("got %+v", got)
	}
}
