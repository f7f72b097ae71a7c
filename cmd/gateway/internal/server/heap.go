package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

const (
	// minHeapSize is the size that the garbage collector takes the heap for at least, in
	// bytes.
	minHeapSize = 64 << 20
	// limitedPercent is the GOGC of a gateway with a GOMEMLIMIT.
	limitedPercent = 400
)

var minHeap []byte

// collectRarely lets the heap grow further before it is collected, which saves a tenth
// of the processor time. GOGC overrides it.
//
// Where GOMEMLIMIT bounds the memory, a larger percentage is enough. Elsewhere it would
// let a large heap grow to a multiple. So a part of the heap is reserved instead, which
// takes no memory because nobody writes to it: a small heap is collected at twice
// minHeapSize, a large one nearly as usual.
var collectRarely = sync.OnceFunc(func() {
	switch {
	case os.Getenv("GOGC") != "":
	case os.Getenv("GOMEMLIMIT") != "":
		debug.SetGCPercent(limitedPercent)
	default:
		minHeap = make([]byte, minHeapSize)
		runtime.KeepAlive(minHeap) // nothing else reads it
	}
})
