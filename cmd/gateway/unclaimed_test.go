package main

import (
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// TestUnclaimed: the command lists what nobody asks for, and the fallback has it.
func TestUnclaimed(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_FALLBACK=true")
	p.awaitFallback()
	js := natstest.JetStream(t, p.at.NATS)
	_, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "postback.v1.*.*.plan.*"})
	if err != nil {
		t.Fatal(err)
	}
	fallback := consume(t, p.at.NATS, "POSTBACKS_UNCLAIMED")
	for _, payload := range []string{"plan:pro", "rate:5", "rate:5"} {
		if status, text := p.post(p.secret(), simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: payload})); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	for range 2 {
		if m := fallback.next(); m.Subject() != "unclaimed.postback.v1.messenger.1.rate.5" {
			t.Errorf("unclaimed: %s", m.Subject())
		}
	}
	listed, said := p.command("unclaimed")
	if lines := strings.Split(listed, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "SUBJECT") || !strings.HasPrefix(lines[1], "postback.v1.messenger.1.rate.5  2       20") {
		t.Errorf("listed %s%s", listed, said)
	}
	if listed, said = p.command("unclaimed", "--json"); !strings.HasPrefix(listed, `{"subject":"postback.v1.messenger.1.rate.5","events":2,"last":"20`) {
		t.Errorf("listed %s%s", listed, said)
	}
	if listed, said = p.command("unclaimed", "--since", "1ns"); listed != "" || said != "no unclaimed subject in the last 1ns\n" {
		t.Errorf("listed %s%s", listed, said)
	}
	p.terminate()
}

// awaitFallback returns when the fallback looks for events: it begins with new ones.
func (p *gatewayProcess) awaitFallback() {
	p.t.Helper()
	js := natstest.JetStream(p.t, p.at.NATS)
	eventually(p.t, "the fallback works", func() bool {
		_, err := js.Consumer(p.t.Context(), "POSTBACKS", stream.FallbackConsumer)
		return err == nil
	})
}

// command runs another command of the binary against the gateway's NATS server.
func (p *gatewayProcess) command(args ...string) (stdout, stderr string) {
	p.t.Helper()
	cmd := exec.Command(p.cmd.Path, args...)
	cmd.Dir = p.dir
	cmd.Env = append(p.cmd.Env, "GATEWAY_EMBEDDED_LISTEN="+strings.TrimPrefix(p.at.NATS, "nats://"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		p.t.Errorf("gateway %s: %v\n%s", strings.Join(args, " "), err, &errs)
	}
	return out.String(), errs.String()
}
