//go:build unix

package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestTooManyOpenFiles: a process that has run out of file descriptors accepts no
// connection. It says so, is not ready, and recovers by itself.
func TestTooManyOpenFiles(t *testing.T) {
	t.Parallel()
	const limit = 100
	p := newProcess(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info")
	p.cmd.Args = []string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0"`, limit), p.cmd.Path}
	p.cmd.Path = p.cmd.Args[0]
	p.start()
	p.awaitReady() // over a connection that is kept: there will be no other
	var open []net.Conn
	for range 2 * limit { // the rest waits in the kernel
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.at.Webhook, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	p.awaitUnready("public listener: cannot accept connections (")
	for _, conn := range open {
		conn.Close()
	}
	p.awaitReady()
	p.terminate()
	lines := linesOf(p.log.String(), "cannot accept connections, retrying")
	if len(lines) == 0 || len(lines) > 2 { // one of each listener
		t.Fatalf("%d lines tell of it:\n%s", len(lines), p.log)
	}
	if line := lines[0]; line["level"] != "ERROR" || !strings.Contains(fmt.Sprint(line["error"]), "too many open files") {
		t.Errorf("the line is %v", line)
	}
}
