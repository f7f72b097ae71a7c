package analytics

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/stream"
)

// TestFunnelMemory: a million people take less than 100 MB, with as many steps as there
// can be.
func TestFunnelMemory(t *testing.T) {
	cfg := stream.Settings{Root: "postback.v1"}
	f := newFunnel(cfg, FunnelQuery{Steps: []string{"a", "b", "c", "d", "e", "f", "g", "h"}})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const everybody = 1_000_000
	for i := range everybody {
		person := "messenger:682498171943165:" + strconv.Itoa(i)
		f.click("postback.v1.messenger.1.a._", person, time.Now())
		if i%2 == 0 {
			f.click("postback.v1.messenger.1.b._", person, time.Now())
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := (after.HeapAlloc - before.HeapAlloc) >> 20
	t.Logf("%d MiB", used)
	result := f.result()
	if used > 80 || result.Steps[0].People != everybody || result.Steps[1].People != everybody/2 || result.SampleOf != 1 {
		t.Errorf("%d MiB, %+v", used, result)
	}
}

// TestFunnelSample: more people are counted by a sample, within a few percent.
func TestFunnelSample(t *testing.T) {
	f := newFunnel(stream.Settings{Root: "postback.v1"}, FunnelQuery{Steps: []string{"a", "b"}})
	f.people.limit = 1 << 12
	const everybody = 100_000
	for i := range everybody {
		person := strconv.Itoa(i)
		f.click("postback.v1.messenger.1.a._", person, time.Now())
		if i%4 == 0 {
			f.click("postback.v1.messenger.1.b._", person, time.Now())
		}
	}
	r := f.result()
	near := func(got, want uint64) bool { return got > want*8/10 && got < want*12/10 }
	if f.people.n > f.people.limit || r.SampleOf < 16 || !near(r.Steps[0].People, everybody) || !near(r.Steps[1].People, everybody/4) {
		t.Errorf("%d in the sample, %+v", f.people.n, r)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for _, waited := range []uint32{0, 600, 36000, 5, 864000} {
		h.add(waited)
	}
	if got := h.median(); got < 58*time.Second || got > 62*time.Second {
		t.Errorf("median %s", got)
	}
}
