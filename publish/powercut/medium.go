package powercut

import (
	"maps"
	"math/rand/v2"
	"sync"
	"time"
)

// pageSize is what is written whole or not at all, in bytes: the block of the
// file system. Disks promise less, 512 bytes; but a superblock that is torn there
// is something that ext4 itself does not survive.
const pageSize = 4096

// page is never changed once it is part of a medium, so that media can share it.
type page *[pageSize]byte

// medium holds what is on a disk. It is safe for concurrent use. Between two
// flushes it keeps each version of a page that was written: a disk may have put
// any of them down when the power goes.
type medium struct {
	flushes sync.Mutex // held by a flush; they come one after the other

	mu       sync.Mutex
	durable  map[int64]page
	flushing map[int64][]page // by a flush that has not ended
	unsynced map[int64][]page
	delay    time.Duration // of each flush
	flushed  int
}

func newMedium() *medium {
	return &medium{durable: map[int64]page{}, unsynced: map[int64][]page{}}
}

// current returns the newest version of a page, nil where nothing was written.
func (m *medium) current(n int64) page {
	for _, some := range []map[int64][]page{m.unsynced, m.flushing} {
		if versions := some[n]; len(versions) > 0 {
			return versions[len(versions)-1]
		}
	}
	return m.durable[n]
}

// read fills into from offset on.
func (m *medium) read(into []byte, offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(into) > 0 {
		n, at := offset/pageSize, int(offset%pageSize)
		length := min(len(into), pageSize-at)
		if p := m.current(n); p != nil {
			copy(into[:length], p[at:])
		} else {
			clear(into[:length])
		}
		into, offset = into[length:], offset+int64(length)
	}
}

// write keeps data as unsynced.
func (m *medium) write(data []byte, offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(data) > 0 {
		n, at := offset/pageSize, int(offset%pageSize)
		p := new([pageSize]byte)
		if old := m.current(n); old != nil && (at > 0 || len(data) < pageSize) {
			*p = *old
		}
		length := copy(p[at:], data)
		m.unsynced[n] = append(m.unsynced[n], p)
		data, offset = data[length:], offset+int64(length)
	}
}

// flush makes durable what was written before the call.
func (m *medium) flush() {
	m.flushes.Lock()
	defer m.flushes.Unlock()
	m.mu.Lock()
	m.flushing, m.unsynced = m.unsynced, map[int64][]page{}
	delay := m.delay
	m.mu.Unlock()

	time.Sleep(delay)

	m.mu.Lock()
	defer m.mu.Unlock()
	for n, versions := range m.flushing {
		m.durable[n] = versions[len(versions)-1]
	}
	m.flushing = nil
	m.flushed++
}

// cut returns what a power cut at this moment leaves. Of the pages that were not
// flushed, each has got down with the probability keep, in any version that it had.
func (m *medium) cut(keep float64) *medium {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := newMedium()
	left.durable, left.delay = maps.Clone(m.durable), m.delay
	for _, some := range []map[int64][]page{m.flushing, m.unsynced} {
		for n, versions := range some {
			if rand.Float64() < keep {
				left.durable[n] = versions[rand.IntN(len(versions))]
			}
		}
	}
	return left
}

func (m *medium) slowDown(delay time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = delay
}

func (m *medium) flushCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flushed
}
