package publish

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

func TestReady(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Publisher, jetstream.JetStream) error
		want  string // empty: ready
	}{
		{"all is well", func(*Publisher, jetstream.JetStream) error { return nil }, ""},
		{"events gone", func(_ *Publisher, js jetstream.JetStream) error {
			return js.DeleteStream(context.Background(), "POSTBACKS")
		}, "stream POSTBACKS is gone: it is created again"},
		{"dead letters gone", func(_ *Publisher, js jetstream.JetStream) error {
			return js.DeleteStream(context.Background(), "POSTBACKS_DEADLETTER")
		}, "stream POSTBACKS_DEADLETTER is gone"},
		{"subjects changed", func(p *Publisher, js jetstream.JetStream) error {
			c := p.cfg.eventStream()
			c.Replicas, c.Subjects = 1, []string{"orders.>"}
			_, err := js.UpdateStream(context.Background(), c)
			return err
		}, "stream POSTBACKS captures orders.>, expected postback.v1.>"},
		{"no data directory", func(p *Publisher, _ jetstream.JetStream) error {
			p.cfg.DataDir = "/nowhere"
			return nil
		}, "data directory /nowhere: no such file or directory"},
		{"connection closed for good", func(p *Publisher, _ jetstream.JetStream) error {
			p.link.Load().nc.Close()
			return nil
		}, ""}, // another one is made
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			cfg.DataDir = t.TempDir()
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

func TestReadyIsBoundByItsContext(t *testing.T) {
	p := mustOpen(t, embeddedConfig(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Ready(ctx); err == nil || !strings.Contains(err.Error(), "does not answer (context canceled)") {
		t.Errorf("%v", err)
	}
}

func TestCheckRoom(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name   string
		config jetstream.StreamConfig
		state  jetstream.StreamState
		full   bool
	}{
		{"unbounded", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: -1}, jetstream.StreamState{Bytes: 1 << 40}, false},
		{"two messages fit", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: 100 * mib}, jetstream.StreamState{Bytes: 98 * mib}, false},
		{"fewer fit", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: 100 * mib}, jetstream.StreamState{Bytes: 98*mib + 1}, true},
		{"small and empty", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: mib}, jetstream.StreamState{}, false},
		{"smaller than a message", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: 10}, jetstream.StreamState{}, true},
		{"drops old ones", jetstream.StreamConfig{Discard: jetstream.DiscardOld, MaxBytes: mib}, jetstream.StreamState{Bytes: mib}, false},
		{"count", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxMsgs: 5}, jetstream.StreamState{Msgs: 5}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := checkRoom(&jetstream.StreamInfo{Config: tt.config, State: tt.state}, mib); (err != nil) != tt.full {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCheckFree(t *testing.T) {
	if err := checkFree("/data", diskReserve); err != nil {
		t.Error(err)
	}
	want := "the disk of the data directory /data is full: 63 MiB are free, 64 MiB are kept in reserve; free some space"
	if err := checkFree("/data", diskReserve-1); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
