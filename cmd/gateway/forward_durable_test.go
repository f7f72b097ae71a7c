package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestForwardDurable: gateway forward takes what has piled up without pauses, and goes on
// by itself after an error. Each event is posted once.
func TestForwardDurable(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, "")
	p := startOn(t, server.URL())
	bot := startCountingBot(t)
	clicks := make([]simulate.Click, 2000) // with a tenth of a second for each the time were over
	for i := range clicks {
		clicks[i] = simulate.Click{Account: "1", User: "u", Payload: "plan:pro", ID: fmt.Sprint("m_", i)}
	}
	deliverUntilStored(t, p.at.Webhook, "s", simulate.Messenger(clicks...))

	ctx, stop := context.WithCancel(t.Context())
	forwarding := exec.CommandContext(ctx, p.cmd.Path, "forward", "--to", bot.URL, "--durable", "service", "--since", "1h")
	forwarding.Dir, forwarding.Env = p.dir, p.cmd.Env
	var log natstest.Log
	forwarding.Stdout, forwarding.Stderr = &log, &log
	if err := forwarding.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		_ = forwarding.Wait() // it was killed
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	await := func(want int) {
		eventually(t, fmt.Sprint(want, " events are posted"), func() bool {
			n, _ := bot.counts()
			return n == want
		})
	}
	await(2000)
	if err := natstest.JetStream(t, server.URL()).DeleteConsumer(t.Context(), "POSTBACKS", "service"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command says that it tries again", func() bool { return strings.Contains(log.String(), "the events cannot be read: ") })
	deliverUntilStored(t, p.at.Webhook, "s", oneClick("m_after_error"))
	await(2001)
	if _, again := bot.counts(); again > 0 {
		t.Errorf("%d events were posted again", again)
	}
	p.terminate()
}
