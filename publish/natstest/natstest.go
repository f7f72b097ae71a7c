package natstest

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// built is the directory that holds the server's binary.
var built string

// binary builds the server from its module, once a test binary. The Go command
// caches it between runs.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nats-server-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "nats-server")
	out, err := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w: %s", err, out)
	}
	return path, nil
})

// Run runs the tests of a package that uses servers, and removes what was built
// for them: func TestMain(m *testing.M) { os.Exit(natstest.Run(m)) }.
func Run(m *testing.M) int {
	defer func() { _ = os.RemoveAll(built) }()
	return m.Run()
}

// Server is a nats-server with JetStream that listens on the loopback.
type Server struct {
	t         testing.TB
	config    string // path of the configuration file
	store     string // directory
	jetStream string // lines of the jetstream block
	port      int
	cmd       *exec.Cmd
}

// New prepares a server on port with further lines of configuration. It ends
// with the test.
func New(t testing.TB, port int, lines string) *Server {
	t.Helper()
	return newServer(t, port, "", lines)
}

// newServer has lines for the jetstream block, too.
func newServer(t testing.TB, port int, jetStream, lines string) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{t: t, config: filepath.Join(dir, "nats.conf"), store: filepath.Join(dir, "js"), port: port, jetStream: jetStream}
	s.Configure(lines)
	t.Cleanup(s.Kill)
	return s
}

// Configure replaces the further lines of configuration. It takes effect with the
// next Start or Reload.
func (s *Server) Configure(lines string) {
	s.t.Helper()
	text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\njetstream { store_dir: %q%s }\n%s\n", s.port, s.store, s.jetStream, lines)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Start prepares a server on any free port and starts it.
func Start(t testing.TB, lines string) *Server {
	t.Helper()
	s := New(t, FreePort(t), lines)
	s.Start()
	return s
}

// Start returns when the server says that it is ready.
func (s *Server) Start() {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(path, "-c", s.config)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	var seen strings.Builder
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		seen.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Server is ready") {
			go func() { _, _ = io.Copy(io.Discard, stderr) }() // ends with the process
			return
		}
	}
	s.t.Fatalf("nats-server ended:\n%s", seen.String())
}

// Kill ends the process at once, as kill -9 does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// StreamDir is the directory of a stream's files.
func (s *Server) StreamDir(stream string) string {
	return filepath.Join(s.store, "jetstream", "$G", "streams", stream)
}

// URL is where clients connect.
func (s *Server) URL() string { return "nats://127.0.0.1:" + strconv.Itoa(s.port) }

// givenPorts are those that this process has got from FreePort. Servers that tests
// start in parallel do not listen yet when the next one asks for a port.
var givenPorts sync.Map

// FreePort returns a port of the loopback that nothing listens on now. It is
// below those that the kernel gives to outgoing connections: one of them could
// take the port while the server that belongs there is down.
func FreePort(t testing.TB) int {
	t.Helper()
	const first = 10_000
	for range 100 {
		port := first + rand.IntN(firstOutgoing()-first)
		if _, taken := givenPorts.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatalf("no free port from %d to %d", first, firstOutgoing()-1)
	return 0
}

// firstOutgoing returns the first port that the kernel gives to outgoing connections: the
// one that it tells, if that leaves some below, else that of Linux.
var firstOutgoing = sync.OnceValue(func() int {
	const usual = 32_768
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\t")
	port, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || port < 12_000 || port > usual {
		return usual
	}
	return port
})

// JetStream connects a client of the test's own, until the test ends.
func JetStream(t testing.TB, url string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
