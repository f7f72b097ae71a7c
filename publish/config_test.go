package publish

import (
	"testing"
)

// Without a bound of its own the stream on this machine's disk gets half of what
// is free; one elsewhere gets none.
func TestDefaultBound(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.DataDir = t.TempDir()
	free, err := freeSpace(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, cfg)
	s, err := p.link.Load().js.Stream(t.Context(), cfg.Stream)
	if err != nil {
		t.Fatal(err)
	}
	// Other programs write at the same time: a tenth is allowed for.
	if got := uint64(s.CachedInfo().Config.MaxBytes); got < free/2-free/20 || got > free/2+free/20 {
		t.Errorf("bound of %d bytes with %d free", got, free)
	}
	if elsewhere := testConfig(); elsewhere.boundByDisk() != nil || elsewhere.MaxBytes != 0 {
		t.Errorf("bound of %d bytes for servers elsewhere", elsewhere.MaxBytes)
	}
}
