package deploy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// built is the directory that holds the programs.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// programs builds the gateway and the nats-server of its module, once, and
// returns the directory that they are in.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gateway-deploy-")
	if err != nil {
		return "", err
	}
	built = dir
	out, err := exec.Command("go", "build", "-o", dir+"/", "../cmd/gateway", "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the gateway and nats-server: %w: %s", err, out)
	}
	return dir, nil
})

func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// gatewayCommand prepares a gateway with env alone.
func gatewayCommand(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t, "gateway"), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// mustBeSettings checks with the gateway itself that env holds settings only, and
// good ones.
func mustBeSettings(t *testing.T, env []string) {
	t.Helper()
	cmd := gatewayCommand(t, env, "config")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("gateway config with %q: %v\n%s", env, err, &complaints)
	}
}

// duration returns the default of a setting.
func duration(t *testing.T, name string) time.Duration {
	t.Helper()
	out, err := gatewayCommand(t, nil, "config", "--markdown").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		// | `GATEWAY_X` | type | `default` | meaning |
		if cells := strings.Split(line, " | "); len(cells) > 2 && cells[0] == "| `"+name+"`" {
			d, err := time.ParseDuration(strings.Trim(cells[2], "`"))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatalf("gateway config does not list %s", name)
	return 0
}

// mustParse decodes a YAML file strictly into v.
func mustParse(t *testing.T, path string, v any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(mustRead(t, path)))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var eventually = natstest.Eventually

// running is a gateway that is up.
type running struct {
	Webhook, Admin string // base URLs
}

// follow reads the gateway's log until it says where it listens, and passes the
// rest on to nobody, so that the gateway is never held up.
func follow(t *testing.T, log io.Reader) running {
	t.Helper()
	var seen strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		seen.WriteString(lines.Text() + "\n")
		var line struct {
			Msg string
			running
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "gateway is up" {
			go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the process
			return line.running
		}
	}
	t.Fatalf("the gateway ended:\n%s", &seen)
	return running{}
}

// startGateway returns when the gateway is up. It is asked to stop at the end of
// the test, and has to do so in order.
func startGateway(t *testing.T, env []string) running {
	t.Helper()
	cmd := gatewayCommand(t, env)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	return follow(t, stderr)
}

// post delivers one click, signed, and returns the answer.
func post(t *testing.T, webhook, secret, id string) string {
	t.Helper()
	body := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro", ID: id})
	request, err := simulate.Request(webhook, secret, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer(t, request)
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer(t, request)
}

func answer(t *testing.T, request *http.Request) string {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(response.StatusCode, " ", strings.TrimSpace(string(text)))
}

// The answers to a click that is new, and to one that is not.
const (
	accepted  = `200 {"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`
	duplicate = `200 {"accepted":0,"duplicates":1,"ignored":0,"rejected":0}`
)

// cannot ends a test for which this machine lacks something: as failed where the
// variable named mode is "required", else as skipped.
func cannot(t *testing.T, mode, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if os.Getenv(mode) == "required" {
		t.Fatalf("%s (%s=optional goes on without)", text, mode)
	}
	t.Skipf("NOT CHECKED: %s", text)
}
