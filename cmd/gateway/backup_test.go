package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// These tests do what docs/operations.md says of backups.

// backupRig is an embedded gateway under load that has come to its backup.
type backupRig struct {
	*gatewayProcess
	listen string
	flow   *running
}

func startBackupRig(t *testing.T) *backupRig {
	t.Helper()
	r := &backupRig{listen: fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))}
	r.gatewayProcess = r.start(t, t.TempDir())
	r.flow = r.traffic(t, "before")
	r.flow.awaitGood(t, 200)
	reader := startService(t, r.at.NATS, jetstream.ConsumerConfig{})
	reader.awaitCaughtUp()
	reader.stop()
	return r
}

func (r *backupRig) start(t *testing.T, dir string) *gatewayProcess {
	t.Helper()
	return startGateway(t, dir, "GATEWAY_LOG_LEVEL=info", "GATEWAY_LISTEN="+r.listen)
}

func (r *backupRig) traffic(t *testing.T, name string) *running {
	t.Helper()
	return traffic{base: "http://" + r.listen, secret: r.secret(), name: name, clients: 8, pause: 2 * time.Millisecond}.start(t)
}

// wantRestored starts a gateway on the restored directory with what was answered 200
// before the backup: each event is there, once, and delivered again it is a duplicate.
// The secrets are there too, or nothing would be answered 200. What came after the
// backup is new.
func (r *backupRig) wantRestored(t *testing.T, dir string, before, after []answer) {
	t.Helper()
	p := r.start(t, dir)
	reader, err := natstest.JetStream(t, p.at.NATS).Consumer(t.Context(), "POSTBACKS", "billing")
	if err != nil || reader.CachedInfo().AckFloor.Stream < 100 {
		t.Errorf("the position of a consumer is not restored: %v", err)
	}
	found := storedIDs(t, p.at.NATS)
	good := 0
	for _, a := range before {
		if n := found[a.id]; n > 1 || n == 0 && a.status == http.StatusOK {
			t.Errorf("%s was answered %d before the backup and is stored %d times", a.id, a.status, n)
		}
		if a.status == http.StatusOK {
			good++
		}
	}
	t.Logf("%d events answered 200 before the backup, %d stored in it", good, len(found))
	flow := &running{traffic: traffic{base: "http://" + r.listen, secret: r.flow.secret}, client: http.DefaultClient}
	for _, a := range slices.Concat(before[:50], after) {
		if got := flow.deliver(a.id); got.status != http.StatusOK {
			t.Errorf("%s: answered %d, %v", a.id, got.status, got.err)
		}
	}
	for id, n := range storedIDs(t, p.at.NATS) {
		if n != 1 {
			t.Errorf("%s is stored %d times after it was delivered again", id, n)
		}
		delete(found, id)
	}
	for id := range found {
		t.Errorf("%s is gone after the restart", id)
	}
	p.terminate()
}

// mustRun runs a program.
func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// TestBackupStopped: the copy of a data directory that nobody uses is a backup.
func TestBackupStopped(t *testing.T) {
	t.Parallel()
	r := startBackupRig(t)
	r.flow.awaitGood(t, 500)
	r.terminate()
	before := r.flow.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	mustRun(t, "cp", "-a", filepath.Join(r.dir, "data"), backup)

	// The gateway goes on, and then the disk is gone.
	p := r.start(t, r.dir)
	later := r.traffic(t, "after")
	later.awaitGood(t, 20)
	after := later.stop()[:20]
	p.kill()
	if err := os.RemoveAll(filepath.Join(r.dir, "data")); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	mustRun(t, "cp", "-a", backup, filepath.Join(dir, "data"))
	if info, err := os.Stat(filepath.Join(dir, "data", settings.AppSecretFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("the restored secret: %v, %v", info.Mode(), err)
	}
	r.wantRestored(t, dir, before, after)
}

// TestBackupRunning: JetStream's own snapshots, taken under load, hold everything
// that was answered 200 before; a NATS server restores them into a data directory.
func TestBackupRunning(t *testing.T) {
	t.Parallel()
	r := startBackupRig(t)
	if status, text := r.post(r.secret(), []byte("not JSON")); status != http.StatusBadRequest {
		t.Fatalf("answered %d %s", status, text)
	}
	r.flow.awaitGood(t, 500)
	before := r.flow.soFar()
	nc := connect(t, r.at.NATS)
	var backups []streamBackup
	for _, name := range []string{"POSTBACKS", "POSTBACKS_DEADLETTER"} {
		backups = append(backups, backupStream(t, nc, name))
	}
	secrets := t.TempDir()
	for _, name := range []string{settings.AppSecretFile, settings.VerifyTokenFile} {
		mustRun(t, "cp", "-a", filepath.Join(r.dir, "data", name), secrets)
	}
	r.flow.awaitGood(t, 100)
	after := r.flow.stop()
	after = after[len(after)-20:]
	r.kill()

	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	mustRun(t, "cp", "-a", secrets, data)
	// The streams' bounds are a part of the disk that they were made on; a server's own
	// may be smaller.
	server := natstest.Start(t, fmt.Sprintf("jetstream { store_dir: %q, max_file_store: 100TB }", filepath.Join(data, "nats")))
	for _, b := range backups {
		b.restore(t, connect(t, server.URL()))
	}
	letters, err := natstest.JetStream(t, server.URL()).Stream(t.Context(), "POSTBACKS_DEADLETTER")
	if err != nil || letters.CachedInfo().State.Msgs != 1 {
		t.Errorf("the dead letter is not restored: %v", err)
	}
	server.Kill()
	r.wantRestored(t, dir, before, after)
}

func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// streamBackup is what `nats stream backup` writes: a stream's configuration and
// state, and its content as the server sends it.
type streamBackup struct {
	name    string
	about   struct{ Config, State json.RawMessage }
	content []byte
}

// The requests of JetStream's API for snapshots. The client library has none.
const (
	snapshotRequest = "$JS.API.STREAM.SNAPSHOT."
	restoreRequest  = "$JS.API.STREAM.RESTORE."
	backupTimeout   = 20 * time.Second
)

func backupStream(t *testing.T, nc *nats.Conn, name string) streamBackup {
	t.Helper()
	inbox := nc.NewInbox()
	chunks, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	b := streamBackup{name: name}
	if err := json.Unmarshal(ask(t, nc, snapshotRequest+name, map[string]any{"deliver_subject": inbox}), &b.about); err != nil {
		t.Fatal(err)
	}
	for {
		chunk, err := chunks.NextMsg(backupTimeout)
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk.Data) == 0 {
			// A snapshot of a single chunk ends without a status.
			if status := chunk.Header.Get("Status"); status != "" && status != "204" {
				t.Fatalf("the snapshot of %s ends with %v", name, chunk.Header)
			}
			return b
		}
		b.content = append(b.content, chunk.Data...)
		if chunk.Reply != "" {
			_ = chunk.Respond(nil)
		}
	}
}

func (b *streamBackup) restore(t *testing.T, nc *nats.Conn) {
	t.Helper()
	var to struct {
		DeliverSubject string `json:"deliver_subject"`
	}
	answer := ask(t, nc, restoreRequest+b.name, map[string]any{"config": b.about.Config, "state": b.about.State})
	if err := json.Unmarshal(answer, &to); err != nil || to.DeliverSubject == "" {
		t.Fatalf("%v: %s", err, answer)
	}
	for content := bytes.NewBuffer(b.content); content.Len() > 0; {
		request(t, nc, to.DeliverSubject, content.Next(64<<10))
	}
	request(t, nc, to.DeliverSubject, nil)
}

func ask(t *testing.T, nc *nats.Conn, subject string, what any) []byte {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return request(t, nc, subject, text)
}

// request fails the test where the answer is an error.
func request(t *testing.T, nc *nats.Conn, subject string, text []byte) []byte {
	t.Helper()
	m, err := nc.Request(subject, text, backupTimeout)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	var failed struct{ Error json.RawMessage }
	if len(m.Data) > 0 && (json.Unmarshal(m.Data, &failed) != nil || failed.Error != nil) {
		t.Fatalf("%s: %s", subject, m.Data)
	}
	return m.Data
}
