//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// connection is a keep-alive connection with at most one request under way. It is a
// bare socket: the load shares the processors with what it measures.
type connection struct {
	fd     int
	part   []byte // of an answer that is not whole yet
	busy   bool
	number int       // of the delivery under way
	due    time.Time // when it should have been sent
}

func dial(address netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w (raise the limit of open files: ulimit -n)", err)
	}
	to := &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	err = errors.Join(
		retryInterrupted(func() error { return unix.Connect(fd, to) }),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetNonblock(fd, true),
	)
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", address, err)
	}
	return fd, nil
}

// retryInterrupted repeats a system call that a signal has interrupted, of which
// the runtime sends many.
func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// write sends all of the request. It waits where the socket's buffer is full: the
// other side reads.
func (c *connection) write(request []byte) error {
	for len(request) > 0 {
		n, err := unix.Write(c.fd, request)
		switch {
		case err == nil:
			request = request[n:]
		case errors.Is(err, unix.EAGAIN):
			wait := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}
			if _, err := unix.Poll(wait, int(answerTimeout.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
				return os.NewSyscallError("poll", err)
			}
		case !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("write", err)
		}
	}
	return nil
}

// read takes what has come. buffer is for this call only.
func (c *connection) read(buffer []byte) (a answer, whole bool, err error) {
	var n int
	err = retryInterrupted(func() (err error) {
		n, err = unix.Read(c.fd, buffer)
		return err
	})
	switch {
	case errors.Is(err, unix.EAGAIN):
		return answer{}, false, nil
	case err != nil:
		return answer{}, false, os.NewSyscallError("read", err)
	case n == 0:
		return answer{}, false, io.EOF
	}
	text := buffer[:n]
	if len(c.part) > 0 {
		c.part = append(c.part, text...)
		text = c.part
	}
	a, whole, err = parseAnswer(text)
	switch {
	case whole:
		c.part = c.part[:0]
	case len(c.part) == 0:
		c.part = append(c.part, text...)
	}
	return a, whole, err
}
