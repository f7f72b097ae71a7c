package publish_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/schema"
)

// indexed is a store whose ids the gateway remembers itself. It can be started again.
type indexed struct {
	t      *testing.T
	cfg    Config
	server *embedded.Server
	p      *Publisher
	log    *natstest.Log
	js     jetstream.JetStream
}

func startIndexed(t *testing.T) *indexed {
	s := &indexed{t: t, cfg: testConfig()}
	s.cfg.DataDir, s.cfg.Indexed = t.TempDir(), true
	s.start()
	return s
}

func (s *indexed) start() {
	s.server = publishtest.Embedded(s.t, s.cfg.DataDir)
	s.cfg.InProcess = s.server
	s.p, s.log = mustOpenWith(s.t, s.cfg, nil)
	eventually(s.t, "the gateway is ready", func() bool { return s.p.Ready(withDeadline(s.t, 5*time.Second)) == nil })
	s.js = natstest.JetStream(s.t, "", inProcess(s.cfg))
}

// restart runs between while nothing runs.
func (s *indexed) restart(between func()) {
	s.t.Helper()
	if err := s.p.Close(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	s.server.Shutdown()
	between()
	s.start()
}

// mustForget returns when the server has forgotten all ids that it knows now. From then on
// its window is the shortest that it takes.
func (s *indexed) mustForget() {
	s.t.Helper()
	c := info(s.t, s.js, "POSTBACKS").Config
	// Twice: the server can drop old ids with an update before it knows the new window.
	for _, c.Duplicates = range []time.Duration{100 * time.Millisecond, 101 * time.Millisecond} {
		if _, err := s.js.UpdateStream(s.t.Context(), c); err != nil {
			s.t.Fatal(err)
		}
	}
	first := s.publishProbe()
	natstest.Eventually(s.t, "the server forgets an id", func() bool { return s.publishProbe() > first })
}

// publishProbe returns the sequence of a message with an id that is always the same.
func (s *indexed) publishProbe() uint64 {
	m := nats.NewMsg("postback.v1.another.program")
	m.Header.Set(jetstream.MsgIDHeader, "probe")
	ack, err := s.js.PublishMsg(withDeadline(s.t, 5*time.Second), m)
	if err != nil {
		s.t.Fatal(err)
	}
	return ack.Sequence
}

func (s *indexed) mustBe(items []schema.Item, want schema.Outcome) {
	s.t.Helper()
	for i, got := range mustPublish(s.t, s.p, items...) {
		if got != want {
			s.t.Fatalf("item %d: %s, expected %s", i, got, want)
		}
	}
}

func TestDuplicatesThatTheServerHasForgotten(t *testing.T) {
	s := startIndexed(t)
	items := slices.Concat(clicks("m", 20), []schema.Item{rubbish("no json")})
	mustPublish(t, s.p, items...)
	s.mustForget()
	before := info(t, s.js, "POSTBACKS").State.LastSeq
	s.mustBe(items[:20], schema.Duplicate)
	if last := info(t, s.js, "POSTBACKS").State.LastSeq; last != before {
		t.Errorf("duplicates were stored up to %d, after %d", last, before)
	}
	s.mustBe(clicks("n", 1), schema.Stored)
}

// TestDuplicatesOfDeletedMessages: the files of the index have what the stream has not.
func TestDuplicatesOfDeletedMessages(t *testing.T) {
	s := startIndexed(t)
	items := clicks("m", 20)
	mustPublish(t, s.p, items...)
	events, err := s.js.Stream(t.Context(), "POSTBACKS")
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mustForget()
	s.mustBe(items, schema.Duplicate)
	for range 3 { // each start goes on with the files of the one before
		s.restart(func() {})
		s.mustForget()
		s.mustBe(items, schema.Duplicate)
	}
	if strings.Contains(s.log.String(), "ids of stored events") {
		t.Errorf("the log has a warning: %s", s.log)
	}
}

// TestDuplicatesOfMessagesBehindTheFiles: as after a crash, the files are older than the
// stream.
func TestDuplicatesOfMessagesBehindTheFiles(t *testing.T) {
	s := startIndexed(t)
	saved, items := filepath.Join(t.TempDir(), "saved"), clicks("m", 20)
	ids := filepath.Join(s.cfg.DataDir, "ids")
	mustPublish(t, s.p, items[:10]...)
	s.restart(func() { mustCopy(t, saved, ids) })
	mustPublish(t, s.p, items[10:]...)
	s.restart(func() { mustCopy(t, ids, saved) })
	s.mustForget()
	s.mustBe(items, schema.Duplicate)
	if strings.Contains(s.log.String(), "ids of stored events") {
		t.Errorf("the log has a warning: %s", s.log)
	}
}

func mustCopy(t *testing.T, to, from string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}

// TestDuplicatesWithoutFiles: without usable files the ids are read from the stream.
func TestDuplicatesWithoutFiles(t *testing.T) {
	s := startIndexed(t)
	items := clicks("m", 20)
	mustPublish(t, s.p, items...)
	ids := filepath.Join(s.cfg.DataDir, "ids")
	s.restart(func() {
		if err := os.RemoveAll(ids); err != nil {
			t.Fatal(err)
		}
	})
	s.mustForget()
	s.mustBe(items, schema.Duplicate)
	s.restart(func() {
		if err := os.WriteFile(filepath.Join(ids, "POSTBACKS", "manifest"), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	s.mustForget()
	s.mustBe(items, schema.Duplicate)
	if !strings.Contains(s.log.String(), "the files with the ids of stored events cannot be used") {
		t.Errorf("the log says nothing about corrupt files: %s", s.log)
	}
}

// TestDuplicatesOfWhatWasNotAcknowledged: another program's message stands for one of the
// gateway whose acknowledgement was lost. Nobody tells the gateway that it is stored.
func TestDuplicatesOfWhatWasNotAcknowledged(t *testing.T) {
	s := startIndexed(t)
	mustPublish(t, s.p, clicks("m", 5)...)
	lost := click("lost", "x")
	publishtest.PublishForeign(t, s.js, lost, nil)
	last := info(t, s.js, "POSTBACKS").State.LastSeq
	natstest.Eventually(t, "the index has the id", func() bool { return s.p.Indexed("POSTBACKS") >= last })
	s.mustForget()
	s.mustBe([]schema.Item{lost}, schema.Duplicate)
}

// TestDuplicatesOfAStreamThatIsCreatedAgain: what was stored in the old one is not stored.
func TestDuplicatesOfAStreamThatIsCreatedAgain(t *testing.T) {
	s := startIndexed(t)
	items := clicks("m", 5)
	mustPublish(t, s.p, items...)
	if err := s.js.DeleteStream(t.Context(), "POSTBACKS"); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the click is stored in the new stream", func() bool {
		outcomes, err := s.p.Publish(withDeadline(t, 5*time.Second), items)
		return err == nil && outcomes[4] == schema.Stored
	})
	s.restart(func() {})
	s.mustBe(items, schema.Duplicate)
	if n := info(t, s.js, "POSTBACKS").State.Msgs; n != 5 {
		t.Errorf("%d messages, expected 5", n)
	}
}

// TestDuplicatesOfAnOlderBackup: the stream was restored, and went on while the server alone
// recognised duplicates. The sequences of the files are those of other messages.
func TestDuplicatesOfAnOlderBackup(t *testing.T) {
	s := startIndexed(t)
	server, backup := embedded.StoreDir(s.cfg.DataDir), filepath.Join(t.TempDir(), "backup")
	kept, lost := clicks("kept", 5), clicks("lost", 10)
	mustPublish(t, s.p, kept...)
	s.restart(func() { mustCopy(t, backup, server) })
	mustPublish(t, s.p, lost...)
	s.cfg.Indexed = false
	s.restart(func() { mustCopy(t, server, backup) })
	mustPublish(t, s.p, clicks("later", 20)...)
	s.cfg.Indexed = true
	s.restart(func() {})
	if !strings.Contains(s.log.String(), "the stream was restored from a backup") {
		t.Errorf("the log does not say why the files cannot be used: %s", s.log)
	}
	s.mustBe(lost, schema.Stored)
	s.mustForget()
	s.mustBe(kept, schema.Duplicate)
}

// TestDuplicatesAtOnce: the index does not know an id yet while its event is published.
func TestDuplicatesAtOnce(t *testing.T) {
	s := startIndexed(t)
	var deliveries sync.WaitGroup
	for range 20 {
		deliveries.Go(func() {
			if outcomes, err := s.p.Publish(withDeadline(t, 10*time.Second), clicks("m", 5)); err != nil {
				t.Errorf("%v: %v", outcomes, err)
			}
		})
	}
	deliveries.Wait()
	if n := info(t, s.js, "POSTBACKS").State.Msgs; n != 5 {
		t.Errorf("%d messages, expected 5", n)
	}
}
