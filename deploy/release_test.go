package deploy

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

const changelog = `## Unreleased

* [FEATURE] Tomorrow.

## v1.10.0 / 2026-11-21

* [FEATURE] Ten.

* [BUGFIX] Ten and one.

## 1.1.0 / 2026-10-01

* [CHANGE] One.
`

func TestReleaseNotes(t *testing.T) {
	for _, test := range []struct{ version, want, problem string }{
		{"v1.10.0", "* [FEATURE] Ten.\n\n* [BUGFIX] Ten and one.\n", ""},
		{"v1.1.0", "* [CHANGE] One.\n", ""},
		{"v1.1.0-3-gabcdef0", "* [FEATURE] Tomorrow.\n", ""},
		{"v1.1.0-dirty", "* [FEATURE] Tomorrow.\n", ""},
		{"v1.1", "* [FEATURE] Tomorrow.\n", ""},
		{"v1.2.0", "", `no section "## 1.2.0"`},
		{"v1.1.0-rc.1", "", `no section "## 1.1.0-rc.1"`},
	} {
		t.Run(test.version, func(t *testing.T) {
			cmd := exec.Command("./release.sh", "notes", test.version)
			cmd.Stdin = strings.NewReader(changelog)
			var out, problem bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &problem
			err := cmd.Run()
			if out.String() != test.want || !strings.Contains(problem.String(), test.problem) || (err != nil) != (test.problem != "") {
				t.Errorf("%v: %q and %q, want %q and %q", err, &out, &problem, test.want, test.problem)
			}
		})
	}
}

// TestSameFlags: an image, a release and make build are the same program. make build leaves
// out -trimpath, which would build everything again after go run.
func TestSameFlags(t *testing.T) {
	for path, flags := range map[string]string{
		"../Makefile": `-ldflags "-X main.version=$(VERSION) -X main.commit=$(COMMIT)"`,
		"Dockerfile":  `-trimpath -ldflags "-X main.version=$VERSION -X main.commit=$COMMIT"`,
		"release.sh":  `-trimpath -buildvcs=false -ldflags "-X main.version=$1 -X main.commit=$commit"`,
	} {
		if !strings.Contains(string(mustRead(t, path)), "build "+flags) {
			t.Errorf("%s does not build with %s", path, flags)
		}
	}
}
