//go:build linux

package main

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// groupSync returns the bare handler's sync: whoever calls it waits for a syncfs that
// began after the call, and one serves all who wait. This is all of it.
func groupSync(dir string) (func() error, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	type round struct {
		done chan struct{}
		err  error
	}
	var mu sync.Mutex
	next := &round{done: make(chan struct{})}
	wake := make(chan struct{}, 1)
	go func() {
		for range wake {
			mu.Lock()
			now := next
			next = &round{done: make(chan struct{})}
			mu.Unlock()
			now.err = unix.Syncfs(int(f.Fd()))
			close(now.done)
		}
	}()
	return func() error {
		mu.Lock()
		mine := next
		mu.Unlock()
		select {
		case wake <- struct{}{}:
		default:
		}
		<-mine.done
		return mine.err
	}, nil
}
