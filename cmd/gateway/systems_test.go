package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

// TestOtherSystems starts a gateway as it is built for systems that we do not run on:
// what they lack is said, and is no reason not to start.
func TestOtherSystems(t *testing.T) {
	p := newProcess(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info")
	p.cmd.Path = buildForOthers(t)
	p.start()
	for _, want := range []string{`{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`, `{"accepted":0,"duplicates":1,"ignored":0,"rejected":0}`} {
		status, body := p.post(p.secret(), simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a", ID: "m"}))
		wantAnswer(t, status, body, want)
	}
	if status, text := p.get(p.at.Admin + "/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, text)
	}
	p.terminate()
	for _, message := range []string{
		"the free space of the disk is not known on this system, so the stream has no bound: configure one",
		"GATEWAY_SYNC=group is not supported on this filesystem: each event is synced separately, as with always",
	} {
		if lines := linesOf(p.log.String(), message); len(lines) != 1 || lines[0]["level"] != "WARN" {
			t.Errorf("%d warnings, want 1: %s\n%s", len(lines), message, p.log)
		}
	}
}

// buildForOthers builds the gateway for this machine with the files of other systems in
// the place of its own.
func buildForOthers(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	replace := make(map[string]string)
	for _, folder := range []string{".", "../../publish/monitor", "../../publish/embedded"} {
		others, err := filepath.Glob(folder + "/*_other.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range others {
			text, err := os.ReadFile(other)
			if err != nil {
				t.Fatal(err)
			}
			text = text[bytes.IndexByte(text, '\n'):] // without its build constraint
			copied := filepath.Join(dir, filepath.Base(other))
			if err := os.WriteFile(copied, text, 0o600); err != nil {
				t.Fatal(err)
			}
			replace[absolute(t, other)] = copied
			own, _ := filepath.Glob(strings.TrimSuffix(other, "_other.go") + "_*.go")
			for _, path := range own {
				if path != other && !strings.HasSuffix(path, "_test.go") {
					replace[absolute(t, path)] = "" // as if it were not there
				}
			}
		}
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(overlay, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "gateway")
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
