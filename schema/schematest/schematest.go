package schematest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/postback-gateway/gateway/schema"
)

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSONSchema))
	if err != nil {
		return nil, err
	}
	closeEnums(document)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.v1.schema.json", document); err != nil {
		return nil, err
	}
	return c.Compile("event.v1.schema.json")
})

// closeEnums removes from a schema the alternative that lets values of later
// versions pass: what this version publishes has to be listed.
func closeEnums(node any) {
	switch node := node.(type) {
	case map[string]any:
		if choices, ok := node["anyOf"].([]any); ok {
			if first, ok := choices[0].(map[string]any); ok && first["enum"] != nil {
				node["anyOf"] = choices[:1]
			}
		}
		for _, child := range node {
			closeEnums(child)
		}
	case []any:
		for _, child := range node {
			closeEnums(child)
		}
	}
}

// EventsDir names the environment variable of a directory in which [Event] keeps a
// copy of everything that it checks, so that validators in other languages can
// check the same events.
const EventsDir = "SCHEMATEST_EVENTS"

func keep(t testing.TB, data []byte) {
	t.Helper()
	dir := os.Getenv(EventsDir)
	if dir == "" {
		return
	}
	path := filepath.Join(dir, fmt.Sprintf("%x.json", sha256.Sum256(data)))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Event fails the test if data is not an event by event.v1.schema.json, has a value that
// the schema does not list, or if a parser with only float64 numbers cannot read it.
func Event(t testing.TB, data []byte) {
	t.Helper()
	keep(t, data)
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("not JSON: %v\n%s", err, data)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Errorf("not for every parser: %v\n%s", err, data)
	}
	if err := s.Validate(document); err != nil {
		t.Errorf("not an event: %v\n%s", err, data)
	}
}

var subject = regexp.MustCompile(`^([A-Za-z0-9_-]+\.)+(` + strings.Join(schema.PlatformNames(), "|") + `)\.` +
	accountToken + `\.` + payloadToken + `\.` + payloadToken + `(\.p([0-9]|[1-5][0-9]|6[0-3]))?$`)

var otherSubject = regexp.MustCompile(`^other\.([A-Za-z0-9_-]+\.)+(` + strings.Join(schema.PlatformNames(), "|") + "|" + schema.UnknownPlatform + `)\.` +
	accountToken + `\.` + payloadToken + `$`)

const accountToken = `([A-Za-z0-9_-]|=[0-9A-F]{2})+`

const payloadToken = `(=id|=long|=json|=query|=referral|=optin|=identity|=form|([A-Za-z0-9_-]|=[0-9A-F]{2}){1,48})`

// Subject fails the test if name is not the subject of an event below some root.
func Subject(t testing.TB, name string) {
	t.Helper()
	if !subject.MatchString(name) && !otherSubject.MatchString(name) {
		t.Errorf("not the subject of an event: %q", name)
	}
}

// JSONLine returns the body of a response. JSON has to end with a line feed, so that the
// prompt of a shell stands on its own line; it is cut off.
func JSONLine(t testing.TB, header http.Header, body []byte) string {
	t.Helper()
	if !strings.Contains(header.Get("Content-Type"), "json") {
		return string(body)
	}
	text, ended := strings.CutSuffix(string(body), "\n")
	if !ended {
		t.Errorf("JSON without a line feed at its end: %s", body)
	}
	return text
}
