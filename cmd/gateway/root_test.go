package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

// runGateway runs one command line in this process.
func runGateway(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = execute(context.Background(), args, strings.NewReader(""), &out, &err)
	return status, out.String(), err.String()
}

func TestWrongCommandLines(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"nonsense", `unknown command "nonsense" (see gateway --help)`},
		{"verson", `unknown command "verson", did you mean version? (see gateway --help)`},
		{"--nonsense", `unknown flag: --nonsense (see gateway --help)`},
		{"parse", `parse takes at least one payload (see gateway parse --help)`},
		{"parse --nonsense", `unknown flag: --nonsense (see gateway parse --help)`},
		{"config now", `config takes no arguments, got "now" (see gateway config --help)`},
		{"version -x", `unknown shorthand flag: 'x' in -x (see gateway version --help)`},
		{"serve now", `serve takes no arguments, got "now" (see gateway serve --help)`},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			setenv(t, nil)
			status, stdout, stderr := runGateway(strings.Fields(test.args)...)
			if want := "gateway: " + test.want + "\n"; status != exitUsage || stdout != "" || stderr != want {
				t.Errorf("status %d, stdout %q\ngot:  %swant: %s", status, stdout, stderr, want)
			}
		})
	}
}

func TestWrongConfigurationIsToldOnce(t *testing.T) {
	setenv(t, env("LISTEN", "x", "SYNC", "y"))
	const want = `gateway: GATEWAY_LISTEN: "x" is not an address to listen on: expected host:port, like 127.0.0.1:8081 or :8080
gateway: GATEWAY_SYNC: "y" is unknown: expected group, always or interval
`
	for _, args := range [][]string{nil, {"serve"}} {
		status, stdout, stderr := runGateway(args...)
		if status != exitUsage || stdout != "" || stderr != want {
			t.Errorf("%q: status %d, stdout %q\ngot:\n%swant:\n%s", args, status, stdout, stderr, want)
		}
	}
}

func TestHelp(t *testing.T) {
	setenv(t, env("LISTEN", "wrong, but not asked for"))
	for _, args := range []string{"--help", "help", "parse --help", "help config", "config -h", "version --help", "serve --help", "forget --help"} {
		status, stdout, stderr := runGateway(strings.Fields(args)...)
		if status != exitDone || stderr != "" || !strings.Contains(stdout, "Usage:") || strings.Contains(stdout, "completion") {
			t.Errorf("%s: status %d, stderr %q, stdout:\n%s", args, status, stderr, stdout)
		}
	}
}

func TestHelpFitsTheTerminal(t *testing.T) {
	for _, cmd := range append(newRootCmd().Commands(), newRootCmd()) {
		_, stdout, _ := runGateway(append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		if !strings.Contains(stdout, "Usage:") {
			t.Errorf("%s has no help: %s", cmd.CommandPath(), stdout)
		}
		for line := range strings.Lines(stdout) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > lineWidth {
				t.Errorf("%s --help: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
	}
}

func TestHelpOfUnknownCommand(t *testing.T) {
	for _, args := range []string{"rotate --help", "--help rotate", "rotate -h"} {
		status, stdout, stderr := runGateway(strings.Fields(args)...)
		if status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, `gateway: unknown command "rotate"`) {
			t.Errorf("%s: status %d, stdout %q, stderr %q", args, status, stdout, stderr)
		}
	}
}

// full is a disk, or a reader that has gone.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	setenv(t, nil)
	for _, args := range []string{"config", "config --markdown", "parse a", "parse --json a", "version"} {
		var stderr bytes.Buffer
		status := execute(context.Background(), strings.Fields(args), strings.NewReader(""), full{}, &stderr)
		if want := "gateway: no space left\n"; status != exitFailed || stderr.String() != want {
			t.Errorf("%s: status %d, stderr %q", args, status, &stderr)
		}
	}
}

func TestExitStatus(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{io.EOF, 1},
		{fmt.Errorf("start: %w", settings.Problems{{Variable: "GATEWAY_LISTEN", Text: "wrong"}}), 2},
		{fmt.Errorf("start: %w", usageError{"wrong", "gateway"}), 2},
	}
	for _, test := range tests {
		if got := exitStatus(test.err); got != test.want {
			t.Errorf("%v: got %d, want %d", test.err, got, test.want)
		}
	}
}

func TestVersion(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "v1.2.3", "abcdef"
	_, stdout, _ := runGateway("version")
	rows := tableRows(stdout)
	want := map[string]string{"gateway": "v1.2.3", "commit": "abcdef", "go": runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
	for name, value := range want {
		if got := strings.Join(rows[name], " "); got != value {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	if len(rows["nats.go"]) != 1 || len(rows["nats-server"]) != 1 {
		t.Errorf("no versions of the libraries:\n%s", stdout)
	}
	if _, short, _ := runGateway("--version"); short != "gateway v1.2.3\n" {
		t.Errorf("got %q", short)
	}
}

func TestBuildWithoutFlags(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "", ""
	if buildVersion() == "" || buildCommit() == "" {
		t.Errorf("got %q %q", buildVersion(), buildCommit())
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "abc"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	tests := []struct {
		build []debug.BuildSetting
		want  string
	}{
		{nil, "unknown"},
		{[]debug.BuildSetting{revision}, "abc"},
		{[]debug.BuildSetting{revision, modified}, "abc (modified)"},
	}
	for _, test := range tests {
		if got := commitOf(test.build); got != test.want {
			t.Errorf("%v: got %q, want %q", test.build, got, test.want)
		}
	}
}

// tableRows splits aligned text: cells by two spaces or more, rows by their first.
func tableRows(text string) map[string][]string {
	rows := make(map[string][]string)
	for line := range strings.Lines(text) {
		var cells []string
		for cell := range strings.SplitSeq(strings.TrimSpace(line), "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		rows[cells[0]] = cells[1:]
	}
	return rows
}
