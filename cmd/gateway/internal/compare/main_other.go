//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "compare: needs Linux: it measures with the CPU clocks of other processes, epoll and syncfs")
	os.Exit(1)
}
