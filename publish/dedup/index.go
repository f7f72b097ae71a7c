package dedup

import (
	"maps"
	"sync"
	"time"
)

// Index has the ids of one stream that were stored within a window. It is safe for
// concurrent use. Its owner calls Expire now and then.
type Index struct {
	window time.Duration

	mu       sync.Mutex
	table    table
	complete uint64              // all ids up to this sequence are in the table
	ahead    map[uint64]struct{} // sequences behind that whose ids are there too
}

// New returns an empty index, which remembers an id for the window. It takes memory until
// it is cleared.
func New(window time.Duration) *Index {
	return &Index{window: window, ahead: map[uint64]struct{}{}}
}

// Find returns the sequence of the message with an id, if one is stored.
func (x *Index) Find(k Key, now time.Time) (sequence uint64, found bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.table.find(k)
	if e == nil || x.expired(e, now) {
		return 0, false
	}
	return e.sequence, true
}

// Add adds the id of a stored message unless it is there.
func (x *Index) Add(k Key, sequence uint64, stored time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.table.find(k); e == nil || x.expired(e, stored) {
		x.table.insert(k, sequence, uint32(stored.Unix()))
	}
	switch {
	case sequence == x.complete+1:
		x.complete = sequence
		x.absorb()
	case sequence > x.complete:
		x.ahead[sequence] = struct{}{}
	}
}

// Complete returns the sequence up to which all ids are known.
func (x *Index) Complete() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.complete
}

// SetComplete says that no message up to the sequence is missing.
func (x *Index) SetComplete(sequence uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if sequence <= x.complete {
		return
	}
	if sequence == x.complete+1 {
		delete(x.ahead, sequence)
	} else {
		maps.DeleteFunc(x.ahead, func(s uint64, _ struct{}) bool { return s <= sequence })
	}
	x.complete = sequence
	x.absorb()
}

func (x *Index) absorb() {
	for {
		next := x.complete + 1
		if _, known := x.ahead[next]; !known {
			return
		}
		delete(x.ahead, next)
		x.complete = next
	}
}

// Newest returns the id that was added last, and the sequence of its message; 0 if there is
// none.
func (x *Index) Newest() (k Key, sequence uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.table.len() == 0 {
		return Key{}, 0
	}
	e := x.table.entry(x.table.next - 1)
	return e.key, e.sequence
}

// Len returns the number of ids, with those that are not dropped yet.
func (x *Index) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.table.len()
}

// Clear forgets everything.
func (x *Index) Clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clear()
}

func (x *Index) clear() {
	x.table.clear()
	x.complete = 0
	clear(x.ahead)
}

// expired reports whether an entry is out of the window. One of the far future is, too: the
// clock was wrong, and nobody would ever drop it.
func (x *Index) expired(e *entry, now time.Time) bool {
	age := time.Duration(now.Unix()-int64(e.at)) * time.Second
	return max(age, -age) > x.window
}

// Expire drops ids that are out of the window.
func (x *Index) Expire(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := &x.table
	for t.len() >= chunkLen && x.expired(&t.chunks[0][chunkLen-1], now) {
		t.drop()
	}
}
