package publish_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

func TestReady(t *testing.T) {
	defaults, dataDir := testConfig(), filepath.Join(t.TempDir(), "data")
	tests := []struct {
		name  string
		spoil func(*Publisher, jetstream.JetStream) error
		want  string // empty: ready
	}{
		{"all is well", func(*Publisher, jetstream.JetStream) error { return nil }, ""},
		{"subjects changed", func(_ *Publisher, js jetstream.JetStream) error {
			c := defaults.Settings.Config(stream.Events)
			c.Replicas, c.Subjects = 1, []string{"orders.>"}
			_, err := js.UpdateStream(context.Background(), c)
			return err
		}, "stream POSTBACKS captures orders.>, expected postback.v1.>"},
		{"no data directory", func(*Publisher, jetstream.JetStream) error { return os.Remove(dataDir) }, "data directory " + dataDir + ": no such file or directory"},
		{"connection closed for good", func(p *Publisher, _ jetstream.JetStream) error {
			link, err := p.Monitor().Conn.Link()
			if err == nil {
				link.NC.Close()
			}
			return err
		}, ""}, // another one is made
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			if cfg.DataDir = dataDir; os.MkdirAll(dataDir, 0o700) != nil {
				t.Fatal("no data directory")
			}
			p := mustOpen(t, cfg)
			if err := tt.spoil(p, natstest.JetStream(t, "", inProcess(cfg))); err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				eventually(t, "ready", func() bool { return p.Ready(context.Background()) == nil })
				return
			}
			if err := p.Ready(withDeadline(t, 5e9)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestReadyWithoutStream: the gateway creates it again, so it may be there once more when
// it is asked.
func TestReadyWithoutStream(t *testing.T) {
	for _, name := range []string{"POSTBACKS", "POSTBACKS_DEADLETTER"} {
		t.Run(name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			p := mustOpen(t, cfg)
			js := natstest.JetStream(t, "", inProcess(cfg))
			eventually(t, "the missing stream is named", func() bool {
				mustDeleteStream(t, js, name)
				err := p.Ready(withDeadline(t, 5*time.Second))
				return err != nil && strings.Contains(err.Error(), "stream "+name+" is gone: it is created again")
			})
		})
	}
}

func TestReadyIsBoundByItsContext(t *testing.T) {
	p := mustOpen(t, embeddedConfig(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Ready(ctx); err == nil || !strings.Contains(err.Error(), "does not answer (context canceled)") {
		t.Errorf("%v", err)
	}
}
