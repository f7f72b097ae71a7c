//go:build unix

package dedup

import (
	"syscall"
	"unsafe"
)

// pages returns memory outside of the Go heap, or on it if the system has none to map. T
// has no pointers.
func pages[T entry | uint32](n int) []T {
	mapped, err := syscall.Mmap(-1, 0, n*size[T](), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]T, n)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mapped))), n)
}

// free returns memory to the system. Nothing may refer to it.
func free[T entry | uint32](p []T) {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(p))), len(p)*size[T]())
	_ = syscall.Munmap(bytes) // an error says that it is on the heap
}

func size[T any]() int { return int(unsafe.Sizeof(*new(T))) }
