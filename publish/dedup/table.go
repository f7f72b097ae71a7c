package dedup

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
)

// Key stands for an id: the first half of its SHA-256.
type Key [2]uint64

// KeyOf returns the key of an id.
func KeyOf(id string) Key {
	var buffer [320]byte // longer than any id; a longer one only takes an allocation
	sum := sha256.Sum256(append(buffer[:0], id...))
	return Key{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// entry is an id in the table.
type entry struct {
	key      Key
	sequence uint64
	at       uint32 // when it was stored, in seconds since 1970
	older    uint32 // link to the next entry of the same bucket
}

// Sizes of the pieces in which the table grows.
const (
	chunkLen = 1 << 14 // entries
	blockLen = 1 << 16 // buckets
)

// table is a hash table of entries in the order in which they were inserted. It grows by
// one bucket with each entry (linear hashing), so that no insert takes long. Each bucket is
// a chain that begins with the newest entry.
//
// Entries have consecutive numbers. They are dropped from the beginning, a chunk at a time,
// and remain in their chains: a link to an entry that was dropped is the end of a chain.
type table struct {
	chunks  [][]entry  // all of chunkLen, oldest first
	first   uint64     // number of the first entry, a multiple of chunkLen
	next    uint64     // number of the next entry
	blocks  [][]uint32 // the buckets: links to the newest entries
	buckets uint64
}

func (t *table) len() int { return int(t.next - t.first) }

func (t *table) entry(number uint64) *entry {
	at := number - t.first
	return &t.chunks[at/chunkLen][at%chunkLen]
}

// links is the number of different links to entries; 0 is none. Far fewer entries than
// that are in the table at a time.
const links = 1<<32 - 1

func linkTo(number uint64) uint32 { return uint32(number%links) + 1 }

// target returns the number of the entry that a link refers to, unless it was dropped.
func (t *table) target(link uint32) (number uint64, found bool) {
	if link == 0 || t.next == t.first {
		return 0, false
	}
	newest := t.next - 1
	distance := (newest%links + links - uint64(link-1)) % links
	return newest - distance, distance <= newest-t.first
}

// bucket returns the beginning of the chain of a key.
func (t *table) bucket(k Key) *uint32 {
	mask := uint64(1)<<bits.Len64(t.buckets-1) - 1
	at := k[0] & mask
	if at >= t.buckets {
		at &= mask >> 1 // that bucket is not split yet
	}
	return t.head(at)
}

func (t *table) head(bucket uint64) *uint32 { return &t.blocks[bucket/blockLen][bucket%blockLen] }

// find returns the newest entry of a key; nil if there is none.
func (t *table) find(k Key) *entry {
	if t.buckets == 0 {
		return nil
	}
	for link := *t.bucket(k); ; {
		number, found := t.target(link)
		if !found {
			return nil
		}
		e := t.entry(number)
		if e.key == k {
			return e
		}
		link = e.older
	}
}

// insert adds an entry. It does not look for one with the same key.
func (t *table) insert(k Key, sequence uint64, at uint32) {
	if t.buckets <= uint64(t.len()) {
		t.split()
	}
	if t.len() == len(t.chunks)*chunkLen {
		t.chunks = append(t.chunks, pages[entry](chunkLen))
	}
	head := t.bucket(k)
	*t.entry(t.next) = entry{key: k, sequence: sequence, at: at, older: *head}
	*head = linkTo(t.next)
	t.next++
}

// split adds a bucket and moves to it what belongs there. Both chains keep their order.
func (t *table) split() {
	added := t.buckets
	t.addBuckets(added + 1)
	if added == 0 {
		return
	}
	width := bits.Len64(added)
	mask := uint64(1)<<width - 1
	stays, moves := t.head(added&(mask>>1)), t.head(added)
	for link := *stays; ; {
		number, found := t.target(link)
		if !found {
			*stays, *moves = 0, 0
			return
		}
		e := t.entry(number)
		this, older := link, e.older
		if e.key[0]&mask == added {
			*moves, moves = this, &e.older
		} else {
			*stays, stays = this, &e.older
		}
		link = older
	}
}

// addBuckets adds empty buckets up to n. Several at a time only fit an empty table.
func (t *table) addBuckets(n uint64) {
	for t.buckets = max(n, t.buckets); uint64(len(t.blocks))*blockLen < t.buckets; {
		t.blocks = append(t.blocks, pages[uint32](blockLen))
	}
}

// drop drops the first chunk.
func (t *table) drop() {
	free(t.chunks[0])
	t.chunks = slices.Delete(t.chunks, 0, 1)
	t.first += chunkLen
}

// clear drops everything.
func (t *table) clear() {
	for _, c := range t.chunks {
		free(c)
	}
	for _, b := range t.blocks {
		free(b)
	}
	*t = table{}
}
