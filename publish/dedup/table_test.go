package dedup

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// TestTable compares the table with a map, from its beginning and where links start over.
func TestTable(t *testing.T) {
	for name, first := range map[string]uint64{"at the beginning": 0, "where links start over": links/chunkLen*chunkLen - 3*chunkLen} {
		t.Run(name, func(t *testing.T) {
			testTable(t, &table{first: first, next: first})
		})
	}
}

func testTable(t *testing.T, table *table) {
	defer table.clear()
	random := rand.New(rand.NewPCG(1, 2))
	want := map[Key]uint64{}
	var keys []Key // by number
	first := table.first
	for range 12 * chunkLen {
		k := Key{random.Uint64N(1 << 18), 7} // also keys of the same bucket, and the same again
		sequence := random.Uint64()
		table.insert(k, sequence, 0)
		keys, want[k] = append(keys, k), sequence
		if table.len() == 5*chunkLen {
			table.drop()
			dropOldest(want, keys[table.first-chunkLen-first:], keys[table.first-first:])
		}
	}
	if table.len() < chunkLen || table.first == first {
		t.Fatalf("%d entries from %d on: nothing was dropped", table.len(), table.first)
	}
	for low := range uint64(1 << 18) {
		k := Key{low, 7}
		e, expected := table.find(k), want[k]
		if _, known := want[k]; known != (e != nil) || known && e.sequence != expected {
			t.Fatalf("key %v: found %+v, expected %d (%v)", k, e, expected, known)
		}
		if table.find(Key{low, 8}) != nil {
			t.Fatalf("found a key that was never inserted")
		}
	}
}

// dropOldest removes the keys of a chunk from the map unless they were inserted again.
func dropOldest(want map[Key]uint64, dropped, rest []Key) {
	again := map[Key]bool{}
	for _, k := range rest {
		again[k] = true
	}
	for _, k := range dropped[:chunkLen] {
		if !again[k] {
			delete(want, k)
		}
	}
}

// TestMemory bounds the memory of an id, whatever their number.
func TestMemory(t *testing.T) {
	var table table
	defer table.clear()
	for n := 1; n <= 1_000_000; n++ {
		table.insert(KeyOf(fmt.Sprint(n)), uint64(n), 0)
		bytes := len(table.chunks)*chunkLen*int(unsafe.Sizeof(entry{})) + len(table.blocks)*blockLen*4
		if n >= 100_000 && bytes > 64*n {
			t.Fatalf("%d ids take %d bytes, expected at most 64 each", n, bytes)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{0, 1_000_000, 5_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var table table
			defer table.clear()
			random := rand.New(rand.NewPCG(1, 2))
			for range n {
				table.insert(Key{random.Uint64(), 1}, 1, 0)
			}
			for b.Loop() {
				k := KeyOf("messenger:682498171943165:m_AG5Hz2Uq7tuwNEhXfYYKj8mJEM")
				k[0] = random.Uint64()
				if table.find(k) == nil {
					table.insert(k, 1, 0)
				}
			}
		})
	}
}
