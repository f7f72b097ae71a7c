package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestStopIsBounded: the embedded server sleeps 10 ms for each consumer when it stops.
// The whole stop takes no longer than GATEWAY_SHUTDOWN_TIMEOUT all the same, so that
// nothing has to kill the gateway.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	const consumers, timeout = 400, time.Second
	p := startGateway(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info", "GATEWAY_SHUTDOWN_TIMEOUT="+timeout.String(), "GATEWAY_PUBLISH_TIMEOUT=500ms")
	js := natstest.JetStream(t, p.at.NATS)
	for i := range consumers {
		if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: fmt.Sprint("c", i)}); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.done
	_ = p.cmd.Wait()                                             // it may say that the time was not enough
	if took := time.Since(begin); took > 3500*time.Millisecond { // otherwise four seconds
		t.Errorf("the stop took %s, want about %s\n%s", took, timeout, p.log)
	}
}

// TestShutdownDoesNotWaitForUnusedConnections: proxies and clients make some in advance.
func TestShutdownDoesNotWaitForUnusedConnections(t *testing.T) {
	t.Parallel()
	p := startGateway(t, t.TempDir())
	unused, err := net.Dial("tcp", strings.TrimPrefix(p.at.Webhook, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	begin := time.Now()
	p.terminate()
	if took := time.Since(begin); took > 5*time.Second { // net/http waits longer for such a connection
		t.Errorf("stopped after %s", took)
	}
}

// TestShutdownGivesNotice: who goes by /readyz sees that it is over while deliveries
// are still taken. They are for a second, in which a busy machine may not deliver: then
// another gateway is stopped.
func TestShutdownGivesNotice(t *testing.T) {
	t.Parallel()
	eventually(t, "a delivery after the notice is answered 200", func() bool {
		p := startGateway(t, t.TempDir())
		p.awaitReady()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		noticed := p.sees("shutting down")
		flow := &running{traffic: traffic{base: p.at.Webhook, secret: p.secret()}, client: &http.Client{Timeout: 10 * time.Second}}
		a := flow.deliver("m_late")
		t.Logf("noticed %t: %+v", noticed, a)
		p.ended()
		return noticed && a.status == http.StatusOK
	})
}

// sees asks /readyz until it gives the reason, or is gone.
func (p *gatewayProcess) sees(reason string) bool {
	for {
		response, err := http.Get(p.at.Admin + "/readyz")
		if err != nil {
			return false
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(text), reason) {
			return true
		}
	}
}

// TestShutdownNoticeLeavesTime: with a short GATEWAY_SHUTDOWN_TIMEOUT the notice does not
// use the time that requests need. A busy machine can need all of it: then another gateway
// is stopped.
func TestShutdownNoticeLeavesTime(t *testing.T) {
	t.Parallel()
	eventually(t, "the stop leaves requests their time", func() bool {
		p := startGateway(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info", "GATEWAY_SHUTDOWN_TIMEOUT=1s", "GATEWAY_PUBLISH_TIMEOUT=500ms")
		p.awaitReady() // from now on somebody probes
		flow := traffic{base: p.at.Webhook, secret: p.secret(), name: "m", clients: 8}.start(t)
		flow.awaitGood(t, 100)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-p.done
		err := p.cmd.Wait()
		bad := slices.DeleteFunc(flow.stop(), func(a answer) bool { return a.status == http.StatusOK || isRefused(a.err) })
		t.Logf("ended with %v; clients saw %+v", err, bad)
		return err == nil && len(bad) == 0
	})
}
