package embedded

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// startWithStream has a stream S with a few messages.
func startWithStream(t *testing.T) (*Server, jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	s := start(t, Config{Dir: t.TempDir(), DontListen: true})
	js := natstest.JetStream(t, "", nats.InProcessServer(s), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	stream, err := js.CreateStream(t.Context(), testStream)
	if err != nil {
		t.Fatal(err)
	}
	publishSome(t, js, 3)
	if err := s.CheckStore(); err != nil {
		t.Fatal(err)
	}
	return s, js, stream
}

func publishSome(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	for range n {
		if _, err := js.Publish(t.Context(), "s", make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
}

// shell runs a command in the data directory.
func shell(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "set -e; "+command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", command, err, out)
	}
}

// TestStoreReplaced: the server knows nothing of it, and acknowledges what nobody will
// find.
func TestStoreReplaced(t *testing.T) {
	const stream = "nats/jetstream/'$G'/streams/S"
	for name, command := range map[string]string{
		"contents of the data directory": "rm -rf *",
		"data directory of another":      "cp -a nats copy; rm -rf nats; mv copy nats",
		"stream":                         "rm -rf " + stream,
		"stream restored":                "cp -a " + stream + " copy; rm -rf " + stream + "; mv copy " + stream,
		"messages":                       "rm -rf " + stream + "/msgs",
		"blocks":                         "rm " + stream + "/msgs/*",
		"block that is written":          "cp -a " + stream + "/msgs/1.blk copy; mv copy " + stream + "/msgs/1.blk",
	} {
		t.Run(name, func(t *testing.T) {
			s, js, _ := startWithStream(t)
			shell(t, s.cfg.Dir, command)
			if _, err := js.Publish(t.Context(), "s", nil); err != nil {
				t.Logf("the server has noticed: %v", err)
			}
			wantReplaced(t, s)
		})
	}
}

func wantReplaced(t *testing.T, s *Server) {
	t.Helper()
	for range 2 {
		if err := s.CheckStore(); err == nil || !strings.HasPrefix(err.Error(), "the store was replaced while the server was writing to it (") {
			t.Errorf("check: %v", err)
		}
	}
	if s.Failed() == nil {
		t.Error("the server does not say that it has failed")
	}
	select {
	case err := <-s.Err():
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(natstest.Patience):
		t.Error("nobody is told within 40s")
	}
}

// TestStoreReplacedWithoutTraffic: the server looks by itself.
func TestStoreReplacedWithoutTraffic(t *testing.T) {
	s, _, _ := startWithStream(t)
	shell(t, s.cfg.Dir, "rm -rf *")
	select {
	case <-s.Err():
	case <-time.After(natstest.Patience):
		t.Error("nobody is told within 40s")
	}
}

// TestCheckAmongOthers: whoever checks after the loss is told so, although other checks
// run that began before it.
func TestCheckAmongOthers(t *testing.T) {
	for range 2 {
		store := t.TempDir()
		p := newPresence(store, func() (map[string]time.Time, bool) { return map[string]time.Time{"S": {}}, true })
		messages := filepath.Join(p.dir, "S", messagesDir)
		if err := os.MkdirAll(messages, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(blockPath(messages, 1), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		var others sync.WaitGroup
		var stop atomic.Bool
		for range 4 {
			others.Go(func() {
				for !stop.Load() {
					_ = p.check()
				}
			})
		}
		if err := os.RemoveAll(p.dir); err != nil {
			t.Fatal(err)
		}
		if p.check() == nil {
			t.Error("a check after the loss found nothing")
		}
		stop.Store(true)
		others.Wait()
		p.close()
	}
}

// TestStoreThatTheServerChanges: what the server renames and removes itself is no
// replacement.
func TestStoreThatTheServerChanges(t *testing.T) {
	s, js, stream := startWithStream(t)
	checked := make(chan struct{})
	stop := make(chan struct{})
	go func() { // all the time, as deliveries do
		defer close(checked)
		for {
			select {
			case <-stop:
				return
			default:
				_ = s.CheckStore()
			}
		}
	}()
	for name, change := range serverChanges(t, s, js, stream) {
		publishSome(t, js, 3)
		if err := change(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		publishSome(t, js, 3)
		if err := s.CheckStore(); err != nil {
			t.Fatalf("after %s: %v", name, err)
		}
	}
	close(stop)
	<-checked
	if err := s.CheckStore(); err != nil {
		t.Error(err)
	}
}

// TestShutdownIsBounded: with very many consumers too.
func TestShutdownIsBounded(t *testing.T) {
	s, js, _ := startWithStream(t)
	for i := range 1000 {
		if _, err := js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: fmt.Sprint("c", i)}); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	s.Shutdown()
	// A thousand consumers take more than ten seconds: that it has not stopped shows that
	// nothing waited for it.
	if took := time.Since(begin); s.Stopped() || took > 10*time.Second {
		t.Errorf("took %s, stopped %t", took, s.Stopped())
	}
	s.running.Load().WaitForShutdown() // else the directory cannot be removed
}

// The directory of a running server must not be a mount that comes later.
func TestVolumeMountedOver(t *testing.T) {
	needsMounts(t)
	s, js, _ := startWithStream(t)
	mnt := s.cfg.Dir
	if out, err := exec.Command("mount", "-t", "tmpfs", "none", mnt).CombinedOutput(); err != nil {
		t.Skipf("NOT CHECKED: cannot mount here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	publishSome(t, js, 1)
	wantReplaced(t, s)
	if _, err := os.Stat(filepath.Join(mnt, "nats")); err == nil {
		t.Error("the server was started again in the mounted volume")
	}
}

// serverChanges are by name.
func serverChanges(t *testing.T, s *Server, js jetstream.JetStream, stream jetstream.Stream) map[string]func() error {
	return map[string]func() error{
		"purge":      func() error { return stream.Purge(t.Context()) },
		"purge some": func() error { return stream.Purge(t.Context(), jetstream.WithPurgeKeep(1)) },
		"recreate": func() error {
			if err := js.DeleteStream(t.Context(), "S"); err != nil {
				return err
			}
			_, err := js.CreateStream(t.Context(), testStream)
			return err
		},
		"another": func() error {
			_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "A", Subjects: []string{"a"}})
			return err
		},
		"in memory": func() error {
			_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "M", Subjects: []string{"m"}, Storage: jetstream.MemoryStorage})
			return err
		},
		"blocks": func() error {
			for range 40 { // of 8 MiB at most
				if _, err := js.Publish(t.Context(), "s", bytes.Repeat([]byte("x"), 1<<20-1000)); err != nil {
					return err
				}
			}
			return stream.Purge(t.Context(), jetstream.WithPurgeKeep(2))
		},
		"erase": func() error {
			info, err := stream.Info(t.Context())
			if err != nil {
				return err
			}
			return stream.SecureDeleteMsg(t.Context(), info.State.LastSeq)
		},
		"start again": func() error {
			s.running.Load().Shutdown()
			natstest.Eventually(t, "a server", func() bool {
				_, err := js.Publish(t.Context(), "s", nil)
				return err == nil
			})
			return nil
		},
	}
}

// needsMounts leaves a test to make powercut: make test mounts nothing, as root too.
func needsMounts(t *testing.T) {
	t.Helper()
	if os.Getenv("POWERCUT_CUTS") == "" {
		t.Skip("NOT CHECKED: this mounts a filesystem; make powercut runs it")
	}
}
