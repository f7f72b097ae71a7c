package embedded

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// damage is what a power cut can leave of a file.
var damage = map[string]func(path string) error{
	"zeros": func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, make([]byte, len(text)), 0o600)
	},
	"end of zeros": func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		clear(text[len(text)/2:])
		return os.WriteFile(path, text, 0o600)
	},
	"empty":     func(path string) error { return os.Truncate(path, 0) },
	"missing":   os.Remove,
	"unrelated": func(string) error { return nil },
}

// damaged is a store with a stream S of three messages, of which the consumer C has
// acknowledged one and taken two, and with one file that is damaged.
type damaged struct {
	t     *testing.T
	cfg   Config
	log   natstest.Log
	s     *Server
	js    jetstream.JetStream
	files string // directory of the stream
}

var testStream = jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Duplicates: time.Hour}

func newDamaged(t *testing.T, policy jetstream.DeliverPolicy, file, how string) *damaged {
	t.Helper()
	d := &damaged{t: t, cfg: Config{Dir: t.TempDir(), DontListen: true}}
	d.files = filepath.Join(d.cfg.Dir, "nats", "jetstream", "$G", "streams", "S")
	d.start()
	if _, err := d.js.CreateStream(t.Context(), testStream); err != nil {
		t.Fatal(err)
	}
	c := d.consumer(policy)
	for i := range 3 {
		if _, err := d.js.Publish(t.Context(), "s", fmt.Append(nil, i+1), jetstream.WithMsgID(fmt.Sprint(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.s.Shutdown()
	if err := damage[how](filepath.Join(d.files, file)); err != nil {
		t.Fatal(err)
	}
	d.start()
	return d
}

func (d *damaged) start() {
	d.t.Helper()
	s, err := Start(d.cfg, slog.New(slog.NewTextHandler(&d.log, nil)))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(s.Shutdown)
	d.s, d.js = s, natstest.JetStream(d.t, "", nats.InProcessServer(s), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
}

// consumer creates C as its owner does at each start.
func (d *damaged) consumer(policy jetstream.DeliverPolicy) jetstream.Consumer {
	d.t.Helper()
	c, err := d.js.CreateOrUpdateConsumer(d.t.Context(), "S", jetstream.ConsumerConfig{Durable: "C", DeliverPolicy: policy, AckWait: 200 * time.Millisecond})
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// wantUnread takes what C delivers from here on.
func (d *damaged) wantUnread(c jetstream.Consumer, want string) {
	d.t.Helper()
	seen := map[string]bool{}
	var got []byte
	for len(got) < len(want) {
		m, err := c.Next(jetstream.FetchMaxWait(natstest.Patience))
		if err != nil {
			d.t.Fatalf("after %s: %v", got, err)
		}
		if text := string(m.Data()); !seen[text] {
			seen[text] = true
			got = append(got, text...)
		}
		if err := m.DoubleAck(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
	}
	info, err := c.Info(d.t.Context())
	if err != nil || info.NumPending+uint64(info.NumAckPending) != 0 {
		d.t.Errorf("after %s: %+v, %v", got, info, err)
	}
	for _, text := range strings.Split(want, "") {
		if !seen[text] {
			d.t.Errorf("delivered %s, want %s", got, want)
		}
	}
}

// wantKept looks for the damaged file, and for the line about it.
func (d *damaged) wantKept(file string) {
	d.t.Helper()
	kept, err := filepath.Glob(filepath.Join(d.files, "corrupt", "*_"+file))
	if err != nil || len(kept) != 1 {
		d.t.Fatalf("kept are %v, %v", kept, err)
	}
	var line string
	for l := range strings.SplitSeq(d.log.String(), "\n") {
		if strings.Contains(l, "moved_to=") {
			line += l
		}
	}
	if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "stream=S") || !strings.HasSuffix(line, "moved_to="+kept[0]) {
		d.t.Errorf("log line: %s", line)
	}
}

// TestCorruptConsumerState: the server keeps such a file, and refuses the consumer as
// long as it is there.
func TestCorruptConsumerState(t *testing.T) {
	for policy, name := range map[jetstream.DeliverPolicy]string{jetstream.DeliverAllPolicy: "all", jetstream.DeliverNewPolicy: "new", jetstream.DeliverLastPolicy: "last"} {
		for _, how := range []string{"zeros", "end of zeros"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				d := newDamaged(t, policy, "obs/C/o.dat", how)
				if _, err := d.js.Consumer(t.Context(), "S", "C"); err != nil {
					t.Errorf("right after the start: %v", err)
				}
				d.wantUnread(d.consumer(policy), "123")
				d.wantKept("obs_C_o.dat")
			})
		}
	}
}

// TestCorruptConsumerSettings: the server passes the consumer over, and does not write
// the settings again when the consumer is created again.
func TestCorruptConsumerSettings(t *testing.T) {
	for _, how := range []string{"zeros", "end of zeros", "empty"} {
		t.Run(how, func(t *testing.T) {
			d := newDamaged(t, jetstream.DeliverAllPolicy, "obs/C/meta.inf", how)
			d.consumer(jetstream.DeliverAllPolicy)
			d.wantKept("obs_C_meta.inf")
			d.s.Shutdown()
			d.start()
			c, err := d.js.Consumer(t.Context(), "S", "C")
			if err != nil {
				t.Fatalf("after a further restart: %v", err)
			}
			d.wantUnread(c, "23")
		})
	}
}

func TestCorruptChecksum(t *testing.T) {
	for _, file := range []string{"meta.sum", "obs/C/meta.sum"} {
		for _, how := range []string{"zeros", "end of zeros", "empty", "missing"} {
			t.Run(file+"/"+how, func(t *testing.T) {
				d := newDamaged(t, jetstream.DeliverAllPolicy, file, how)
				c, err := d.js.Consumer(t.Context(), "S", "C")
				if err != nil {
					t.Fatalf("right after the start: %v", err)
				}
				d.wantUnread(c, "23")
				if !strings.Contains(d.log.String(), "level=WARN msg=\"the checksum of settings was corrupt") {
					t.Errorf("log: %s", &d.log)
				}
			})
		}
	}
}

// TestCorruptStreamSettings: the stream is created again, as the gateway does at its
// start, with its messages, their ids, and its consumers.
func TestCorruptStreamSettings(t *testing.T) {
	for _, how := range []string{"zeros", "end of zeros", "empty", "missing"} {
		t.Run(how, func(t *testing.T) {
			d := newDamaged(t, jetstream.DeliverAllPolicy, "meta.inf", how)
			s, err := d.js.CreateStream(t.Context(), testStream)
			if err != nil || s.CachedInfo().State.Msgs != 3 {
				t.Fatalf("created again: %+v, %v", s, err)
			}
			var c jetstream.Consumer
			natstest.Eventually(t, "the consumer", func() bool {
				c, err = d.js.Consumer(t.Context(), "S", "C")
				return err == nil
			})
			d.wantUnread(c, "23")
			if ack, err := d.js.Publish(t.Context(), "s", nil, jetstream.WithMsgID("3")); err != nil || !ack.Duplicate {
				t.Errorf("message 3 again: %+v, %v", ack, err)
			}
			if how != "missing" {
				d.wantKept("meta.inf")
			}
		})
	}
}

// TestSoundMetadata: nothing is touched where nothing is wrong, and what the server
// writes is what is expected of it.
func TestSoundMetadata(t *testing.T) {
	d := newDamaged(t, jetstream.DeliverAllPolicy, "obs/C/unrelated", "unrelated")
	if text := d.log.String(); strings.Contains(text, "level=WARN") {
		t.Errorf("log: %s", text)
	}
	if _, err := os.Stat(filepath.Join(d.files, "corrupt")); err == nil {
		t.Error("something was set aside")
	}
	state, err := os.ReadFile(filepath.Join(d.files, "obs", "C", "o.dat"))
	if err != nil || !validState(state) || len(state) <= len(beginningOfStream) {
		t.Errorf("the state of a consumer with messages to acknowledge is %v, %v", state, err)
	}
	for end := range state {
		if torn := bytes.Clone(state[:end]); validState(torn) {
			t.Errorf("a valid state: %v", torn)
		}
	}
}
