package publish_test

import (
	"testing"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// Without a bound of its own the stream on this machine's disk gets half of what
// is free; one elsewhere gets none.
func TestDefaultBound(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.DataDir = t.TempDir()
	disk, err := monitor.DiskSpace(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	mustOpen(t, cfg)
	free := disk.Free
	bound := info(t, natstest.JetStream(t, "", inProcess(cfg)), cfg.Stream).Config.MaxBytes
	// Other programs write at the same time: a tenth is allowed for.
	if got := uint64(bound); got < free/2-free/20 || got > free/2+free/20 {
		t.Errorf("bound of %d bytes with %d free", got, free)
	}
	elsewhere := testConfig()
	elsewhere.Servers = "nats://127.0.0.1:1"
	if elsewhere.Prepare() != nil || elsewhere.MaxBytes != 0 {
		t.Errorf("bound of %d bytes for servers elsewhere", elsewhere.MaxBytes)
	}
}
