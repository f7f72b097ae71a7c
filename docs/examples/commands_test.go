package examples

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// How a command of a document is run.
const (
	runs    = iota // to its end, with exit status 0
	serves         // beside what follows
	watches        // until it has printed what is expected, then Ctrl-C
	sets           // a variable or directory, for all commands that follow
	skipped
)

// step says how one command of a document is run.
type step struct {
	command string // how it begins
	how     int
	want    string // what it prints; if skipped, why
	appears string // what the program that serves last prints then
	input   string
}

const offline = "needs the internet"

// documents are run in this order in one copy of the sources each.
var documents = map[string][]step{
	"README.md": {
		{command: "git clone", how: skipped, want: "this is a copy of it"},
		{command: "cd gateway", how: skipped, want: "this is a copy of it"},
		{command: "go run ./cmd/gateway demo", how: watches, want: "=referral"},
		{command: "go run ./cmd/gateway", how: serves, want: "gateway is up"},
		{command: "go run ./cmd/gateway send --payload rate:5", how: runs, want: `"accepted":1`},
		{command: "go run ./cmd/gateway tail", how: watches, want: ".rate.5"},
		{command: "cat > delivery.json", how: runs},
		{command: "signature=", how: sets},
		{command: "curl -i http://127.0.0.1:8080/webhooks/meta", how: runs, want: `{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`},
		{command: "go install github.com/nats-io/natscli/nats@v0.5.0", how: skipped, want: "make examples does it"},
		{command: "export PATH=", how: sets},
		{command: "nats sub", how: watches, want: ".show_plan.enterprise"},
		{command: "go -C docs/examples run ./go/worker", how: serves, want: "ready"},
		{command: "go run ./cmd/gateway send --payload plan:pro", how: runs, want: `"accepted":1`, appears: "chose pro"},
		{command: "export GATEWAY_META_APP_SECRETS=…", how: skipped, want: "needs an app at Meta"},
		{command: "go run ./cmd/gateway", how: skipped, want: "needs an app at Meta"},
	},
	"docs/guide.md": {
		{command: "git clone", how: skipped, want: "this is a copy of it"},
		{command: "cd gateway", how: skipped, want: "this is a copy of it"},
		{command: "make build", how: runs},
		{command: "export PATH=", how: sets},
		{command: "umask 077", how: sets},
		{command: "cat > bot-token", how: runs, input: "TOKEN\n"},
		{command: "openssl rand -hex 32 > webhook-secret", how: runs},
		{command: "export GATEWAY_TELEGRAM_SECRETS=", how: sets},
		{command: "gateway", how: serves, want: "gateway is up"},
		{command: "export PATH=", how: sets},
		{command: "gateway send --platform telegram", how: runs, want: `"accepted":1`},
		{command: "gateway tail", how: watches, want: "postback.v1.telegram.shop_bot.plan.old"},
		{command: "cloudflared tunnel", how: skipped, want: offline},
		{command: "caddy reverse-proxy", how: skipped, want: offline},
		{command: "address=", how: sets},
		{command: "curl", how: skipped, want: offline},
		{command: "node docs/examples/node/telegram.js", how: serves, want: "ready"},
		{command: "export TELEGRAM_API=", how: sets},
		{command: "cp -r docs/examples/node ../shop-bot", how: runs},
		{command: "npm --prefix ../shop-bot install", how: skipped, want: "make examples does it"},
		{command: `TELEGRAM_TOKEN="$(cat bot-token)" node`, how: serves, want: "ready"},
		{command: `TELEGRAM_TOKEN="$(cat bot-token)" go`, how: serves, want: "ready"},
		{command: "gateway send --platform telegram --kind button", how: runs, want: `/start 200 OK {"accepted":1`},
		{command: "gateway send --platform telegram --payload plan:pro", how: runs, want: `"accepted":1`},
	},
	"docs/consumers.md": {
		{command: "go -C docs/examples run ./go/worker", how: serves, want: "ready"},
		{command: "npm --prefix docs/examples/node install", how: skipped, want: "make examples does it"},
		{command: "node docs/examples/node/worker.js", how: serves, want: "ready"},
		{command: "python3 docs/examples/python/worker.py", how: serves, want: "ready"},
		{command: "nats sub '$JS.EVENT.ADVISORY.CONSUMER.>'", how: watches, want: "Subscribing"},
		{command: "nats stream get POSTBACKS 1", how: runs, want: ".rate.5"},
	},
}

// before are commands that a document takes for granted.
var before = map[string][]step{
	"docs/consumers.md": {
		{command: "go run ./cmd/gateway", how: serves, want: "gateway is up"},
		{command: "go run ./cmd/gateway send --payload rate:5", how: runs},
	},
}

// TestDocuments runs the commands of the documents, in their order, as somebody who
// follows them does. They use the gateway's own ports, so where the machine can do it
// the test has a network of its own.
func TestDocuments(t *testing.T) {
	for _, name := range []string{"bash", "curl", "openssl", "make", "python3", cmp.Or(os.Getenv("NATS"), "nats")} {
		needs(t, name)
	}
	needsNode(t)
	for document, steps := range documents {
		t.Run(filepath.Base(document), func(t *testing.T) {
			if inOwnNetwork(t) {
				return
			}
			commands := commandsOf(t, document)
			if len(commands) != len(steps) {
				t.Fatalf("%d commands, and %d are known: %q", len(commands), len(steps), commands)
			}
			r := newReader(t)
			for _, s := range before[document] {
				r.follow(s, s.command)
			}
			for i, s := range steps {
				if !strings.HasPrefix(commands[i], s.command) {
					t.Fatalf("command %d is %q, expected %q", i+1, commands[i], s.command)
				}
				r.follow(s, commands[i])
			}
		})
	}
}

// inOwnNetwork runs this test again in a network of its own and returns true, if it
// is not there yet and the machine can do it.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	const mark = "IN_OWN_NETWORK"
	for _, flags := range []string{"-rn", "-n"} {
		args := []string{flags, "sh", "-c", `ip link set lo up && exec "$@"`, "sh"}
		if os.Getenv(mark) != "" || exec.Command("unshare", append(args, "true")...).Run() != nil {
			continue
		}
		args = append(args, os.Args[0], "-test.v", "-test.count=1", "-test.run", "^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
		cmd := exec.Command("unshare", args...)
		cmd.Env = append(os.Environ(), mark+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		} else {
			t.Logf("%s", out)
		}
		return true
	}
	return false
}

var heredoc = regexp.MustCompile(`<<'?(\w+)'?`)

// commandsOf returns the commands in the sh blocks of a document.
func commandsOf(t *testing.T, document string) (all []string) {
	t.Helper()
	for _, block := range blocks(t, "../../"+document, " sh ") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		for i := 0; i < len(lines); i++ {
			command := strings.TrimSpace(lines[i])
			end := ""
			if here := heredoc.FindStringSubmatch(command); here != nil {
				end = here[1]
			}
			for i+1 < len(lines) && (end != "" || strings.HasSuffix(lines[i], `\`)) {
				i++
				command += "\n" + lines[i]
				if lines[i] == end {
					end = ""
				}
			}
			all = append(all, command)
		}
	}
	return all
}

// reader follows a document in a copy of the sources.
type reader struct {
	t      *testing.T
	dir    string
	env    []string
	state  []string // what was set so far
	serves *process
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, dir: filepath.Join(t.TempDir(), "gateway")}
	if err := os.Mkdir(r.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	const copies = `git -C "$0" ls-files -co --exclude-standard -z | tar -C "$0" --ignore-failed-read --null -T - -c | tar -C "$1" -x`
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	output(t, ".", nil, "sh", "-c", copies, root, r.dir)
	modules := filepath.Join(r.dir, "docs/examples/node/node_modules") // the guide copies it
	if err := os.Symlink(os.Getenv("NODE_MODULES"), modules); err != nil {
		t.Fatal(err)
	}
	r.env = []string{"PYTHONDONTWRITEBYTECODE=1", "NO_COLOR=1", "PATH=" + os.Getenv("PATH") + ":" + filepath.Dir(os.Getenv("NATS"))}
	return r
}

func (r *reader) follow(s step, command string) {
	r.t.Helper()
	r.t.Logf("$ %s", command)
	script := strings.Join(append(r.state, command), "\n")
	switch s.how {
	case skipped:
		r.t.Logf("skipped: %s", s.want)
	case sets:
		r.state = append(r.state, command)
	case runs:
		if s.input != "" {
			script = fmt.Sprintf("(%s) <<'INPUT'\n%sINPUT\n", script, s.input)
		}
		if out := output(r.t, r.dir, r.env, "bash", "-ec", script); !strings.Contains(out, s.want) {
			r.t.Errorf("%s: expected %q in:\n%s", command, s.want, out)
		}
	case serves:
		r.serves = start(r.t, r.dir, r.env, "bash", "-ec", script)
		r.serves.expect(s.want)
	case watches:
		p := start(r.t, r.dir, r.env, "bash", "-ec", script)
		p.expect(s.want)
		p.end(syscall.SIGINT)
	}
	if s.appears != "" {
		r.serves.expect(s.appears)
	}
}

// TestNATSVersion: the documents install the nats tool that the tests use.
func TestNATSVersion(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commandsOf(t, "README.md") {
		if tool, ok := strings.CutPrefix(command, "go install "); ok {
			if !strings.Contains(string(makefile), "= "+tool+"\n") {
				t.Errorf("the Makefile does not install %s", tool)
			}
			return
		}
	}
	t.Error("the README does not install the nats tool")
}
