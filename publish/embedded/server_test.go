package embedded

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func TestStoreOutlivesTheServer(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), DontListen: true, SyncAlways: true}
	first := start(t, cfg)
	if first.ClientURL() != "" {
		t.Errorf("a server that does not listen has the URL %s", first.ClientURL())
	}
	js := natstest.JetStream(t, "", nats.InProcessServer(first))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	first.Shutdown()
	second := start(t, cfg)
	s, err := natstest.JetStream(t, "", nats.InProcessServer(second)).Stream(t.Context(), "S")
	if err != nil || s.CachedInfo().State.Msgs != 1 {
		t.Errorf("after a restart: %v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "nats", "jetstream")); err != nil {
		t.Error(err)
	}
}

// TestStreamLimitIsNotBoundByTheDisk: a stream may be larger than what is free
// now, as it is when the disk holds the stream's own data after a restart.
func TestStreamLimitIsNotBoundByTheDisk(t *testing.T) {
	s := start(t, Config{Dir: t.TempDir(), DontListen: true})
	js := natstest.JetStream(t, "", nats.InProcessServer(s))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, MaxBytes: 1 << 60}); err != nil {
		t.Error(err)
	}
}

func TestTokenIsAskedOfEveryone(t *testing.T) {
	s := start(t, Config{Dir: t.TempDir(), Host: "127.0.0.1", Port: -1, Token: "secret"})
	if strings.Contains(s.ClientURL(), "secret") {
		t.Errorf("the token stands in %s", s.ClientURL())
	}
	if _, err := nats.Connect(s.ClientURL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a consumer without the token: %v", err)
	}
	natstest.JetStream(t, s.ClientURL(), nats.Token("secret"))
	natstest.JetStream(t, "", nats.InProcessServer(s), nats.Token("secret"))
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = Start(Config{Dir: t.TempDir(), Host: "127.0.0.1", Port: port}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "GATEWAY_EMBEDDED_LISTEN: the embedded NATS server cannot listen on "+l.Addr().String()) {
		t.Errorf("%v", err)
	}
}

func TestStoreThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nats"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(Config{Dir: dir, DontListen: true}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "GATEWAY_DATA_DIR") || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if mode, err := os.Stat(dir); err != nil || mode.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", mode, err)
	}
	want := "the data directory " + dir + " belongs to another process that runs: stop it, or set GATEWAY_DATA_DIR to another directory"
	if _, err := Lock(dir); err == nil || err.Error() != want {
		t.Errorf("second lock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(dir)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
	if _, err := Lock("/dev/null/x"); err == nil || !strings.HasPrefix(err.Error(), "GATEWAY_DATA_DIR: ") {
		t.Errorf("a directory that cannot be: %v", err)
	}
}

func TestLogLevels(t *testing.T) {
	var out bytes.Buffer
	log := newBridge(slog.New(slog.NewTextHandler(&out, nil)))
	log.Noticef("notice %d", 1)
	log.Warnf("warning %d", 2)
	log.Errorf("error %d", 3)
	got := out.String()
	if strings.Contains(got, "notice") || !strings.Contains(got, `level=WARN msg="nats-server: warning 2"`) || !strings.Contains(got, `level=ERROR msg="nats-server: error 3"`) {
		t.Error(got)
	}
	if !log.log.Enabled(context.Background(), slog.LevelInfo) {
		t.Error("the test's logger is off")
	}
}

// TestRefusedLoginsDoNotFillTheLog: a consumer with an old token tries again and again.
func TestRefusedLoginsDoNotFillTheLog(t *testing.T) {
	var log natstest.Log
	s, err := Start(Config{Dir: t.TempDir(), Host: "127.0.0.1", Port: -1, Token: "new"}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	begin := time.Now()
	for range 20 {
		if nc, err := nats.Connect(s.ClientURL(), nats.Token("old")); err == nil {
			nc.Close()
			t.Fatal("let in")
		}
	}
	natstest.Eventually(t, "a line about it", func() bool { return strings.Contains(log.String(), "authentication error") })
	n, took := strings.Count(log.String(), "authentication error"), time.Since(begin)
	if n > 1+int(took/time.Second) || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%d lines in %s\n%s", n, took, log.String())
	}
}

// TestSetToken: whoever came with the old token has to come again with the new one,
// and what is stored stays.
func TestSetToken(t *testing.T) {
	s := start(t, Config{Dir: t.TempDir(), Host: "127.0.0.1", Port: -1, Token: "old", SyncAlways: true})
	js := natstest.JetStream(t, "", nats.InProcessServer(s), nats.Token("old"))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, server := range map[string]nats.Option{"TCP": nil, "in process": nats.InProcessServer(s)} {
		t.Run(name, func(t *testing.T) {
			options := []nats.Option{nats.NoReconnect(), nats.Token("old")}
			if server != nil {
				options = append(options, server)
			}
			if err := s.SetToken("old"); err != nil {
				t.Fatal(err)
			}
			closed := make(chan struct{})
			old, err := nats.Connect(s.ClientURL(), append(options, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SetToken("old"); err != nil {
				t.Fatal(err)
			}
			if err := old.Flush(); err != nil { // nothing has changed: the connection stays
				t.Errorf("with the same token: %v", err)
			}
			if err := s.SetToken("new"); err != nil {
				t.Fatal(err)
			}
			select {
			case <-closed:
			case <-time.After(natstest.Patience):
				t.Error("the connection with the old token was not closed within 40s")
			}
		})
	}
	if _, err := nats.Connect(s.ClientURL(), nats.Token("old")); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the old token: %v", err)
	}
	stream, err := natstest.JetStream(t, s.ClientURL(), nats.Token("new")).Stream(t.Context(), "S")
	if err != nil || stream.CachedInfo().State.Msgs != 1 {
		t.Errorf("with the new token: %v, %v", stream, err)
	}
}

// TestTokenOutlivesARestart: a server whose store has failed comes back with the
// token of now.
func TestTokenOutlivesARestart(t *testing.T) {
	s := start(t, Config{Dir: t.TempDir(), Host: "127.0.0.1", Port: -1, Token: "old"})
	if err := s.SetToken("new"); err != nil {
		t.Fatal(err)
	}
	s.running.Load().Shutdown() // a store that is gone, for the watcher
	deadline := time.Now().Add(natstest.Patience)
	for {
		nc, err := nats.Connect(s.ClientURL(), nats.Token("new"))
		if err == nil {
			nc.Close()
			break
		}
		if errors.Is(err, nats.ErrAuthorization) || time.Now().After(deadline) {
			t.Fatalf("the new token: %v", err)
		}
	}
	if _, err := nats.Connect(s.ClientURL(), nats.Token("old")); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the old token: %v", err)
	}
}
