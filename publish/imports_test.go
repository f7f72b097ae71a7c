package publish_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImportsOfParts keeps the order of the parts: each one imports only those before it.
func TestImportsOfParts(t *testing.T) {
	const module = "github.com/postback-gateway/gateway/publish"
	order := []string{module + "/dedup", module + "/natsconn", module + "/stream", module + "/monitor", module, module + "/relay", module + "/fallback", module + "/erase"}
	alone := order[5:] // they do not import each other
	for i, part := range order {
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, part).Output()
		if err != nil {
			t.Fatal(err)
		}
		for imported := range strings.FieldsSeq(string(out)) {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			if !slices.Contains(order[:i], imported) || slices.Contains(alone, imported) {
				t.Errorf("%s imports %s", part, imported)
			}
		}
	}
}
