package console

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish/natstest"
)

func observed(reason string, size int) *ingest.Observation {
	return &ingest.Observation{
		Request: httptest.NewRequest("POST", "/webhooks/meta", nil), Handler: "meta", Received: time.Now(),
		Outcome: "stored", Reason: reason, Status: 200, Body: []byte(strings.Repeat("x", size)),
	}
}

// TestRingIsBounded: by number, by memory and by rate; rejected deliveries are not lost
// among accepted ones.
func TestRingIsBounded(t *testing.T) {
	r := NewRing(testSubjects)
	defer r.Watch()()
	for range 3 * sampledPerSecond {
		r.Observe(observed("", 10))
	}
	r.Observe(observed("mismatch", 10))
	records, _ := r.after(0)
	if missed := int(r.missed.Load()); missed == 0 || len(records)+missed != 3*sampledPerSecond+1 {
		t.Errorf("%d records, %d missed", len(records), missed)
	}
	if last := records[len(records)-1]; last.Reason != "mismatch" {
		t.Errorf("the rejected one is missing: %+v", last)
	}
	for range 2 * maxRecords {
		r.add(newRecord(observed("", 10), r.subjects))
	}
	if records, _ = r.after(0); len(records) != maxRecords {
		t.Errorf("%d records", len(records))
	}
	for range maxRecords {
		record := newRecord(observed("", 1<<20), r.subjects)
		if len(record.Body) != maxBody || record.BodySize != 1<<20 {
			t.Fatalf("%d of %d bytes are kept", len(record.Body), record.BodySize)
		}
		record.size = maxRingBytes / 10
		r.add(record)
	}
	if records, _ = r.after(0); len(records) != 10 || r.bytes > maxRingBytes {
		t.Errorf("%d records with %d bytes", len(records), r.bytes)
	}
	if again, _ := r.after(records[9].Seq + 1000); len(again) != 10 {
		t.Errorf("%d records for a page that knows an earlier gateway", len(again))
	}
	if again, _ := r.after(r.first - 1); len(again) != 10 {
		t.Errorf("%d records for a page that knows an earlier gateway", len(again))
	}
	if r.find(1) != nil || r.find(records[0].Seq) != records[0] {
		t.Error("found what is gone, or not what is there")
	}
}

// TestGap: the first delivery after a time in which nobody looked is marked. Sequences of an
// earlier gateway are not used again.
func TestGap(t *testing.T) {
	r := NewRing(testSubjects)
	if first := time.UnixMilli(int64(r.first)); time.Since(first) > time.Minute || time.Until(first) > time.Minute {
		t.Errorf("the first sequence is %d", r.first)
	}
	for range 2 {
		stop := r.Watch()
		r.Observe(observed("", 1))
		r.Observe(observed("", 1))
		stop()
		r.Observe(observed("", 1)) // nobody looks
	}
	records, _ := r.after(0)
	var gaps []bool
	for _, rec := range records {
		gaps = append(gaps, rec.Gap)
	}
	if !slices.Equal(gaps, []bool{true, false, true, false}) {
		t.Errorf("gaps before the deliveries: %v", gaps)
	}
}

// TestKeep: a hidden page is a watcher for a while.
func TestKeep(t *testing.T) {
	r := NewRing(testSubjects)
	for range 3 {
		r.Keep(time.Hour)
	}
	if n := r.watchers.Load(); n != 1 {
		t.Errorf("%d watchers", n)
	}
	r.Keep(time.Millisecond)
	natstest.Eventually(t, "nobody looks any more", func() bool { return !r.Watching() })
	r.Keep(time.Hour)
	if !r.Watching() {
		t.Error("it does not watch again")
	}
}

// TestTally counts rejections also while nobody looks, and forgets them after a while.
func TestTally(t *testing.T) {
	r := NewRing(testSubjects)
	for range 3 {
		r.Observe(observed("mismatch", 1))
	}
	now := time.Now()
	if got := r.tally.list(now); len(got) != 1 || got[0].Count != 3 || got[0].Reason != "mismatch" {
		t.Errorf("got %+v", got)
	}
	if got := r.tally.list(now.Add(tallyTime + tallySlot)); got[0].Count != 0 {
		t.Errorf("still %d after %s", got[0].Count, tallyTime)
	}
	for i := range 2 * maxReasons {
		o := observed("mismatch", 1)
		o.Account = strings.Repeat("a", i)
		r.Observe(o)
	}
	if got := r.tally.list(now); len(got) != maxReasons {
		t.Errorf("%d reasons", len(got))
	}
	if records, _ := r.after(0); len(records) != 0 {
		t.Errorf("%d deliveries are kept though nobody looks", len(records))
	}
}

// BenchmarkObserve is what a delivery costs while somebody looks.
func BenchmarkObserve(b *testing.B) {
	r := NewRing(testSubjects)
	defer r.Watch()()
	o := observed("", 300)
	for b.Loop() {
		r.Observe(o)
	}
}

// TestRowsAreEncodedOnce: all viewers get the same bytes.
func TestRowsAreEncodedOnce(t *testing.T) {
	c := &Console{ring: NewRing(testSubjects)}
	defer c.ring.Watch()()
	c.ring.Observe(observed("", 10))
	row := func() []byte {
		records, _ := c.ring.after(0)
		return c.message(records).Rows[0]
	}
	if first, second := row(), row(); len(first) == 0 || &first[0] != &second[0] {
		t.Errorf("%s and %s", first, second)
	}
}
