package examples

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const patience = 60 * time.Second

var built string // the directory of the programs

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// programs builds the gateway and the examples in Go, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gateway-examples-")
	if err != nil {
		return "", err
	}
	built = dir
	for _, args := range [][]string{
		{"-C", "../..", "build", "-o", dir + "/", "./cmd/gateway"},
		{"build", "-o", dir + "/", "./go/..."},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %v: %w: %s", args, err, out)
		}
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

// needs returns the path of a program. It skips the test unless make examples runs
// it, and fails it if the program is missing.
func needs(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	check(t, name, err)
	return path
}

// needsNode returns the path of node, for programs with the packages that make
// examples installs.
func needsNode(t *testing.T) string {
	t.Helper()
	path := needs(t, "node")
	_, err := os.Stat(filepath.Join(os.Getenv("NODE_MODULES"), "ajv"))
	check(t, "a package from npm", err)
	return path
}

// check skips or fails the test if something that it needs is missing.
func check(t *testing.T, what string, err error) {
	t.Helper()
	switch mode := os.Getenv("EXAMPLES"); {
	case mode == "":
		t.Skip("make examples runs it")
	case err == nil:
	case mode == "optional":
		t.Skipf("examples: NOT CHECKED, %s is missing", what)
	default:
		t.Fatalf("%s is missing: install it, or run make examples EXAMPLES=optional", what)
	}
}

// process is a program that runs beside the test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string   // its output, line by line
	ended chan struct{} // closed when the process has ended
	err   error         // how it ended
	seen  strings.Builder
}

// start runs a program in a process group of its own.
func start(t *testing.T, dir string, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, lines: make(chan string, 1000), ended: make(chan struct{})}
	p.cmd = exec.Command(name, args...)
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = w.Close()
		close(p.ended)
	}()
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// expect returns the next line that contains text. Lines before it are dropped.
func (p *process) expect(text string) string {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%v ended without %q:\n%s", p.cmd.Args, text, p.seen.String())
			}
			p.seen.WriteString(line + "\n")
			if strings.Contains(line, text) {
				return line
			}
		case <-timeout:
			p.t.Fatalf("%v: no %q within %v:\n%s", p.cmd.Args, text, patience, p.seen.String())
		}
	}
}

// kill ends the process and its children at once, as a crash would.
func (p *process) kill() { p.end(syscall.SIGKILL) }

func (p *process) end(s syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, s)
	for {
		select {
		case line, ok := <-p.lines:
			if ok {
				p.seen.WriteString(line + "\n")
			}
		case <-p.ended:
			return
		case <-time.After(patience):
			p.t.Fatalf("%v does not end", p.cmd.Args)
		}
	}
}

// stop asks the process to end, as Ctrl-C does, and checks that it does so in order.
func (p *process) stop() {
	p.t.Helper()
	p.end(syscall.SIGINT)
	if p.err != nil {
		p.t.Errorf("%v: %v\n%s", p.cmd.Args, p.err, p.seen.String())
	}
}

// output runs a program to its end.
func output(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}
