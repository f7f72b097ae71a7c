//go:build !unix

package dedup

func pages[T entry | uint32](n int) []T { return make([]T, n) }

func free[T entry | uint32]([]T) {}
