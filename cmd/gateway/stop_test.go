package main

import (
	"fmt"
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
	js := natstest.JetStream(t, p.at.nats)
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
	_ = p.cmd.Wait() // it may say that the time was not enough
	if took := time.Since(begin); took > timeout+time.Second {
		t.Errorf("the stop took %s, want at most about %s\n%s", took, timeout, p.log)
	}
}
