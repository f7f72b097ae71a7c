package console

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/schema"
)

const (
	// maxRecords and maxRingBytes bound the ring.
	maxRecords   = 1000
	maxRingBytes = 32 << 20
	// sampledPerSecond is how many accepted deliveries a second the ring takes. Rejected
	// ones have a limit of their own, so that they are not lost among the others.
	sampledPerSecond  = 100
	rejectedPerSecond = 50
)

// Ring has the last deliveries. It takes them only while somebody looks, and counts
// rejections always. It implements [ingest.Observer].
type Ring struct {
	subjects schema.Subjects
	watchers atomic.Int32
	missed   atomic.Int64 // deliveries that were not taken because there were too many
	tally    tally
	accepted *rate.Limiter
	rejected *rate.Limiter

	first   uint64 // sequence of the first record
	mu      sync.Mutex
	records []*record // the oldest first
	bytes   int
	next    uint64        // sequence of the next record
	gap     bool          // deliveries before the next record were not taken
	since   time.Time     // when somebody began to look
	kept    *time.Timer   // ends the watch of hidden pages; nil if there is none
	changed chan struct{} // closed when there is a new record
}

var _ ingest.Observer = (*Ring)(nil)

// NewRing returns an empty ring. subjects is the form of the events' subjects.
//
// A page stays open while the gateway is restarted, and a link is kept for longer. So the
// sequences begin at the time in milliseconds: no gateway uses those of an earlier one.
func NewRing(subjects schema.Subjects) *Ring {
	first := uint64(time.Now().UnixMilli())
	return &Ring{
		subjects: subjects, tally: newTally(), first: first, next: first, changed: make(chan struct{}),
		accepted: rate.NewLimiter(sampledPerSecond, sampledPerSecond),
		rejected: rate.NewLimiter(rejectedPerSecond, rejectedPerSecond),
	}
}

// Watch makes the ring take deliveries until the returned function is called.
func (r *Ring) Watch() (stop func()) {
	if r.watchers.Add(1) == 1 {
		r.mu.Lock()
		r.since, r.gap = time.Now(), true
		r.mu.Unlock()
	}
	return sync.OnceFunc(func() { r.watchers.Add(-1) })
}

// Keep is Watch for a time, from the last call on.
func (r *Ring) Keep(d time.Duration) {
	stop := r.Watch()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept != nil && r.kept.Reset(d) {
		stop() // one watch is enough
		return
	}
	r.kept = time.AfterFunc(d, stop)
}

// Watching implements [ingest.Observer].
func (r *Ring) Watching() bool { return r.watchers.Load() > 0 }

// sentKey is the key of an [*atomic.Uint64] in the context of a delivery that the page
// sends. The ring takes such a delivery in any case, and stores its sequence there.
type sentKey struct{}

// Observe implements [ingest.Observer].
func (r *Ring) Observe(o *ingest.Observation) {
	limit := r.accepted
	if isRejected(o) {
		r.tally.count(o)
		limit = r.rejected
	}
	if !r.Watching() {
		return
	}
	sent, isSent := o.Request.Context().Value(sentKey{}).(*atomic.Uint64)
	switch {
	case isSent:
		sent.Store(r.add(newRecord(o, r.subjects)))
	case !limit.Allow():
		r.missed.Add(1)
	default:
		r.add(newRecord(o, r.subjects))
	}
}

func isRejected(o *ingest.Observation) bool { return o.Reason != "" }

// add returns the record's sequence.
func (r *Ring) add(rec *record) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.Seq, rec.Gap = r.next, r.gap
	rec.row = rec.json()
	r.next++
	r.gap = false
	r.records = append(r.records, rec)
	r.bytes += rec.size
	drop := 0
	for len(r.records)-drop > maxRecords || r.bytes > maxRingBytes {
		r.bytes -= r.records[drop].size
		r.records[drop] = nil // the slice is copied only when it grows
		drop++
	}
	r.records = r.records[drop:]
	close(r.changed)
	r.changed = make(chan struct{})
	return rec.Seq
}

// after returns the records after a sequence, and what is closed when there are more. A
// sequence that this ring has not had is that of a gateway that was restarted.
func (r *Ring) after(seq uint64) (records []*record, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq >= r.next {
		seq = 0
	}
	begin := len(r.records)
	for begin > 0 && r.records[begin-1].Seq > seq {
		begin--
	}
	return append(records, r.records[begin:]...), r.changed
}

// find returns the record with a sequence, or nil if the ring does not have it any more.
func (r *Ring) find(seq uint64) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.records {
		if rec.Seq == seq {
			return rec
		}
	}
	return nil
}

// findLetter returns the sequence of the last record with a dead letter, or 0.
func (r *Ring) findLetter(id string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range slices.Backward(r.records) {
		if slices.ContainsFunc(rec.Items, func(i recordItem) bool { return i.Reason != "" && i.ID == id }) {
			return rec.Seq
		}
	}
	return 0
}

// watchedSince returns when somebody began to look.
func (r *Ring) watchedSince() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since
}

// Rejections returns the rejections of the last five minutes, the latest reason first. They
// are counted also while nobody watches.
func (r *Ring) Rejections(now time.Time) []Rejection {
	return slices.DeleteFunc(r.tally.list(now), func(r Rejection) bool { return r.Count == 0 })
}
