package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const schemaFile = "../../schema/event.v1.schema.json"

// tool returns the path of a program in tools/, beside the packages that it needs.
func tool(t *testing.T, name string) string {
	t.Helper()
	needsNode(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("tools")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.Getenv("NODE_MODULES"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// publishedEvents returns a directory of events that tests published: what the tests
// before this one kept in SCHEMATEST_EVENTS, and what each delivery of ingest's
// testdata becomes.
func publishedEvents(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SCHEMATEST_EVENTS")
	if dir == "" {
		dir = t.TempDir()
	}
	output(t, "../..", []string{"SCHEMATEST_EVENTS=" + dir}, "go", "test", "-count=1", "-run", "Golden", "./ingest/...")
	return dir
}

// TestValidators: validators of both drafts accept everything that tests publish.
func TestValidators(t *testing.T) {
	for name, validators := range map[string]int{"ajv.js": 2, "jsonschema.js": 1} {
		t.Run(name, func(t *testing.T) {
			script := tool(t, name)
			dir := publishedEvents(t)
			out := output(t, ".", nil, "node", script, schemaFile, dir)
			var files int
			if _, err := fmt.Sscanf(out, "%d events, 0 failures", &files); err != nil || files < 100 {
				t.Errorf("only few events were checked: %s", out)
			}
			t.Log(out)
			checkRejects(t, script, validators)
		})
	}
}

// checkRejects: a validator that accepts everything proves nothing.
func checkRejects(t *testing.T, script string, validators int) {
	t.Helper()
	for name, event := range map[string]string{
		"empty":   `{}`,
		"no data": `{"specversion":"1.0","id":"m","source":"/messenger/1","type":"postback.click.v1","time":"2018-05-27T22:23:44Z"}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "event.json"), []byte(event), 0o644); err != nil {
			t.Fatal(err)
		}
		const command = `node "$0" "$1" "$2"; test $? = 1`
		if out := output(t, ".", nil, "sh", "-c", command, script, schemaFile, dir); !strings.Contains(out, fmt.Sprintf("1 events, %d failures", validators)) {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// TestAsyncAPI: the parser accepts the document, and generators make a consumer of it.
func TestAsyncAPI(t *testing.T) {
	out := output(t, ".", nil, "node", tool(t, "asyncapi.js"), "../asyncapi.yaml")
	if want := "receive receiveEvent\nreceive receivePartitionedEvent\nreceive receiveOther\nreceive receiveUnclaimed\nreceive receiveDeadLetter\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// TestCloudEventsJS: the SDK reads a message as events.md says.
func TestCloudEventsJS(t *testing.T) {
	node := needsNode(t)
	g, dir := startGateway(t), t.TempDir()
	copyNode(t, dir)
	p := start(t, dir, []string{"NATS_URL=" + g.NATS}, node, filepath.Join(dir, "cloudevents.js"))
	p.expect("ready")
	g.click("7001", "plan:pro")
	line := p.expect("postback.click.v1")
	if !strings.Contains(line, ":7001 plan:pro") {
		t.Errorf("got %q", line)
	}
	// What the comment in the example warns of.
	const bytes = `import { HTTP } from "cloudevents";
const headers = { "content-type": "application/cloudevents+json" };
console.log(HTTP.toEvent({ headers, body: new TextEncoder().encode('{"specversion":"1.0"}') }).type);`
	if err := os.WriteFile(filepath.Join(dir, "bytes.mjs"), []byte(bytes), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := output(t, dir, nil, node, "bytes.mjs"); strings.TrimSpace(out) != "undefined" {
		t.Errorf("the SDK reads bytes now: %s", out)
	}
	p.stop()
}
