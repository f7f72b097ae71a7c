package main

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Of a TCP header: where the flags are, in bytes, and the two that tell a first
// packet (SYN alone) from all others.
const (
	tcpFlags = 13
	tcpSYN   = 0x02
	tcpACK   = 0x10
)

// onlyKnown has the kernel drop the first packet of every further connection. What
// has been begun is finished and can be accepted; who comes now sends again after a
// second, and is refused if the listener is closed by then. Closing alone would
// reset every connection that is accepted by the kernel and not by the server yet.
func onlyKnown(listener net.Listener) error {
	conn, ok := listener.(syscall.Conn)
	if !ok {
		return net.ErrClosed
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	// The filter of a TCP socket sees packets from the TCP header on.
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: tcpFlags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: tcpSYN | tcpACK},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: tcpSYN, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},          // drop
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff}, // keep, whole
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	if err != nil {
		return err
	}
	return setErr
}
