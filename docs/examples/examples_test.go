package examples

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// gateway is a running gateway of the test.
type gateway struct {
	t             *testing.T
	dir           string
	Webhook, NATS string // base addresses
}

func startGateway(t *testing.T, env ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir()}
	env = append(env, "GATEWAY_LISTEN=127.0.0.1:0", "GATEWAY_ADMIN_LISTEN=127.0.0.1:0", "GATEWAY_EMBEDDED_LISTEN=127.0.0.1:0", "GATEWAY_LOG_FORMAT=json")
	p := start(t, g.dir, env, program(t, "gateway"))
	if err := json.Unmarshal([]byte(p.expect("gateway is up")), g); err != nil {
		t.Fatal(err)
	}
	return g
}

// click posts a signed click.
func (g *gateway) click(user, payload string) {
	g.t.Helper()
	output(g.t, g.dir, nil, program(g.t, "gateway"), "send", "--url", g.Webhook, "--user", user, "--payload", payload)
}

func (g *gateway) jetstream() jetstream.JetStream {
	g.t.Helper()
	nc, err := nats.Connect(g.NATS)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		g.t.Fatal(err)
	}
	return js
}

// repeat stores the newest event of a payload again, as the gateway does when the
// platform repeats a delivery after the duplicate window.
func (g *gateway) repeat(suffix string) {
	g.t.Helper()
	js := g.jetstream()
	stream, err := js.Stream(g.t.Context(), "POSTBACKS")
	if err != nil {
		g.t.Fatal(err)
	}
	stored, err := stream.GetLastMsgForSubject(g.t.Context(), "postback.v1.*.*."+suffix)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := js.Publish(g.t.Context(), stored.Subject, stored.Data); err != nil {
		g.t.Fatal(err)
	}
}

// acknowledged waits until a consumer has acknowledged all that it received.
func (g *gateway) acknowledged(consumer string) {
	g.t.Helper()
	c, err := g.jetstream().Consumer(g.t.Context(), "POSTBACKS", consumer)
	if err != nil {
		g.t.Fatal(err)
	}
	eventually(g.t, consumer+" acknowledges everything", func() bool {
		info, err := c.Info(g.t.Context())
		return err == nil && info.NumAckPending == 0 && info.NumPending == 0
	})
}

// languages are those of the examples: the program and arguments that run one, in a
// directory of the test.
var languages = map[string]func(t *testing.T, dir, example string) []string{
	"go": func(t *testing.T, _, example string) []string { return []string{program(t, example)} },
	"node": func(t *testing.T, dir, example string) []string {
		node := needsNode(t)
		copyNode(t, dir)
		return []string{node, filepath.Join(dir, example+".js")}
	},
	"python": func(t *testing.T, _, example string) []string {
		path, err := filepath.Abs(filepath.Join("python", example+".py"))
		if err != nil {
			t.Fatal(err)
		}
		return []string{needs(t, "python3"), path}
	},
}

// copyNode puts the examples for Node into dir, beside the packages that make
// examples has installed.
func copyNode(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(dir, "node_modules")); err == nil {
		return
	}
	if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.Getenv("NODE_MODULES"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
}

// inEachLanguage runs a test with a gateway of its own for each language. run starts
// an example and waits until it is ready.
func inEachLanguage(t *testing.T, env []string, test func(t *testing.T, language string, g *gateway, run func(example string) *process)) {
	for language, command := range languages {
		t.Run(language, func(t *testing.T) {
			dir := t.TempDir()
			command(t, dir, "worker") // skips
			g := startGateway(t, env...)
			test(t, language, g, func(example string) *process {
				args := command(t, dir, example)
				p := start(t, dir, append(env, "NATS_URL="+g.NATS, "PYTHONDONTWRITEBYTECODE=1"), args[0], args[1:]...)
				p.expect("ready")
				return p
			})
		})
	}
}

// TestWorker: the worker acts once for each click, ignores what was stored before its
// first start, and continues after a crash.
func TestWorker(t *testing.T) {
	inEachLanguage(t, nil, func(t *testing.T, language string, g *gateway, run func(string) *process) {
		g.click("7000", "plan:old")
		worker := run("worker")
		g.click("7001", "plan:pro")
		worker.expect("7001 chose pro")
		g.repeat("plan.pro")
		worker.expect("again")
		g.acknowledged("plan-worker-" + language)
		worker.kill()
		g.click("7002", "plan:basic")
		again := run("worker")
		again.expect("7002 chose basic")
		if language == "python" {
			again.kill() // Ctrl-C is a traceback there
		} else {
			again.stop()
		}
		all := worker.seen.String() + again.seen.String()
		if strings.Count(all, " chose ") != 2 {
			t.Errorf("expected two clicks:\n%s", all)
		}
	})
}

// TestCatchall: the catch-all answers what nobody else asks for, and nothing else.
func TestCatchall(t *testing.T) {
	inEachLanguage(t, []string{"GATEWAY_FALLBACK=true"}, func(t *testing.T, _ string, g *gateway, run func(string) *process) {
		_, err := g.jetstream().CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "plans", FilterSubject: "postback.v1.*.*.plan.>"})
		if err != nil {
			t.Fatal(err)
		}
		catchall := run("catchall")
		n := 0
		eventually(t, "the gateway knows the other consumer", func() bool {
			n++
			g.click("7001", fmt.Sprint("plan:", n))
			g.click("7002", fmt.Sprint("unknown:", n))
			catchall.expect(fmt.Sprint("sorry, 7002: no service handles unknown:", n))
			return !strings.Contains(catchall.seen.String(), fmt.Sprint("plan:", n))
		})
	})
}

// TestPoison: an event that cannot be processed is given up after three deliveries,
// is shown, and does not hold up the others.
func TestPoison(t *testing.T) {
	inEachLanguage(t, nil, func(t *testing.T, language string, g *gateway, run func(string) *process) {
		worker := run("poison")
		shows := worker
		if language == "python" {
			shows = run("givenup")
		}
		g.click("7001", "rate:many")
		for range 3 {
			worker.expect("event ")
		}
		g.click("7002", "rate:5")
		worker.expect("7002 gave 5 stars")
		line := shows.expect("given up: sequence 1, postback.v1.messenger.")
		if !strings.HasSuffix(line, ".rate.many") {
			t.Errorf("got %q", line)
		}
		lines := strings.Split(worker.seen.String(), "\n")
		if n := len(slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, "event ") })); n != 3 {
			t.Errorf("tried %d times:\n%s", n, worker.seen.String())
		}
	})
}

// TestOrdered: three processes share what waits for them and what comes, one of them
// crashes, and each person's clicks are processed once and in their order.
func TestOrdered(t *testing.T) {
	env := []string{"GATEWAY_PARTITIONS=3"}
	inEachLanguage(t, env, func(t *testing.T, language string, g *gateway, run func(string) *process) {
		g.click("7001", "cart:old")
		run("ordered").kill() // it has created the consumers
		people, want := []string{"7001", "7002", "7003", "7004", "7005"}, ""
		clickAll := func(name string) {
			for i := range 6 {
				for _, person := range people {
					g.click(person, fmt.Sprint("cart:", name, i))
				}
				want += fmt.Sprint(" ", name, i)
			}
		}
		clickAll("waiting")
		first, second, third := run("ordered"), run("ordered"), run("ordered")
		clickAll("new")
		third.kill() // an event that it had is delivered again after the AckWait of 30 s
		clickAll("last")
		for p := range 3 {
			g.acknowledged(fmt.Sprintf("cart-%s-p%d", language, p))
		}
		for _, person := range people {
			if got := cart(t, filepath.Join(first.cmd.Dir, "carts", "messenger%3A682498171943165%3A"+person)); got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", person, got, want)
			}
		}
		if language != "python" { // Ctrl-C is a traceback there
			first.stop()
			second.stop()
		}
	})
}

// cart returns the actions in a file of the example.
func cart(t *testing.T, path string) (actions string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		_, action, _ := strings.Cut(line, " ")
		actions += " " + action
	}
	return actions
}

// TestKogno: each event reaches the block that docs/kogno.md says, and an event
// without a payload does no harm.
func TestKogno(t *testing.T) {
	g := startGateway(t)
	bot := start(t, g.dir, []string{"NATS_URL=" + g.NATS}, program(t, "kogno"))
	bot.expect("ready")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--payload", "no"}, "answered no"},
		{[]string{"--payload", `purchase:{"product_id":12}`}, "purchase 12"},
		{[]string{"--payload", "purchase:twelve"}, "purchase 0"},
		{[]string{"--payload", "other"}, "no block for other"},
		{[]string{"--payload", "sales/offers"}, "the offers"},
		{[]string{"--payload", "sales/other"}, "no block in sales for other"},
		{[]string{"--kind", "referral", "--ref", "spring"}, "deep link: spring"},
		{[]string{"--kind", "referral", "--ref", "sales_spring"}, "deep link to sales: spring"},
		{[]string{"--kind", "optin", "--user", "7", "--user-ref", "r"}, "opted in: 7"},
	} {
		output(t, g.dir, nil, program(t, "gateway"), append([]string{"send", "--url", g.Webhook}, c.args...)...)
		if line := bot.expect(""); line != c.want {
			t.Errorf("%q: got %q, want %q", c.args, line, c.want)
		}
	}
	bot.stop()
}
