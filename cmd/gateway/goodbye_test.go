package main

import (
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestShutdownNewConnections stops a gateway while clients make a connection for
// every delivery, so that always some are being made: they are answered or refused,
// and nobody is cut off.
func TestShutdownNewConnections(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the kernel cannot be told to begin no connection")
	}
	t.Parallel()
	for range 3 {
		p := startGateway(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info")
		flow := traffic{base: p.at.webhook, secret: p.secret(), name: "m", clients: 64, oneRequest: true}.start(t)
		flow.awaitGood(t, 500)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.ended()
		for _, a := range flow.stop() {
			if a.status != http.StatusOK && !isRefused(a.err) {
				t.Errorf("a client sees %d, %v", a.status, a.err)
			}
		}
	}
}

// TestShutdownDoesNotWaitForUnusedConnections: proxies and clients make some in advance.
func TestShutdownDoesNotWaitForUnusedConnections(t *testing.T) {
	t.Parallel()
	p := startGateway(t, t.TempDir())
	unused, err := net.Dial("tcp", strings.TrimPrefix(p.at.webhook, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	begin := time.Now()
	p.terminate()
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("stopped after %s", took)
	}
}

// TestShutdownGivesNotice: who goes by /readyz sees that it is over while deliveries
// are still taken.
func TestShutdownGivesNotice(t *testing.T) {
	t.Parallel()
	p := startGateway(t, t.TempDir())
	p.awaitReady()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.awaitUnready("shutting down")
	flow := &running{traffic: traffic{base: p.at.webhook, secret: p.secret()}, client: &http.Client{Timeout: 10 * time.Second}}
	if a := flow.deliver("m_late"); a.status != http.StatusOK {
		t.Errorf("after the notice: %+v", a)
	}
	p.ended()
}
