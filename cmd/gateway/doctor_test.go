package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestDoctor follows a newcomer from an empty gateway to one whose clicks are answered.
func TestDoctor(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_META_VERIFY_TOKEN=verify-me")
	click := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro"})
	p.diagnosed("no_handshake")
	p.get(p.at.Webhook + "/webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong")
	p.diagnosed("handshake_rejected")
	p.get(p.at.Webhook + "/webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=verify-me")
	p.diagnosed("no_delivery")
	if status, _ := p.post("wrong", click); status != http.StatusUnauthorized {
		t.Fatalf("a wrong signature was answered %d", status)
	}
	p.diagnosed("rejected")
	p.rejections("meta_handshake verify_token 1, meta mismatch 1")
	p.post(p.secret(), []byte(`{"object":"page","entry":[{"id":"1","messaging":[{"sender":{"id":"u"},"message":{"mid":"m","text":"hi"}}]}]}`))
	p.diagnosed("not_subscribed", "rejected")
	if status, text := p.post(p.secret(), click); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, text)
	}
	p.diagnosed("no_consumer", "rejected")
	js := natstest.JetStream(t, p.at.NATS)
	if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "rating", FilterSubject: "postback.v1.*.*.rate.>"}); err != nil {
		t.Fatal(err)
	}
	p.diagnosed("unclaimed", "rejected")
	if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "postback.v1.*.*.plan.>"}); err != nil {
		t.Fatal(err)
	}
	text, status := p.diagnosed("rejected")
	if status != exitDone || !strings.HasPrefix(text, "The gateway is ready.") {
		t.Errorf("status %d:\n%s", status, text)
	}
	p.terminate()
	if text, status := p.run("doctor"); status != exitFailed || !strings.Contains(text, "no gateway responds") {
		t.Errorf("without a gateway: status %d %s", status, text)
	}
}

// diagnosed checks the codes of the findings, and that the text for people has them too
// and fits a terminal.
func (p *gatewayProcess) diagnosed(codes ...string) (text string, status int) {
	p.t.Helper()
	out, status := p.run("doctor", "--json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &report); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, f.Code)
	}
	if strings.Join(got, " ") != strings.Join(codes, " ") || (status == exitFailed) != report.HasProblem() {
		p.t.Errorf("status %d, findings %q, want %q", status, got, codes)
	}
	text, _ = p.run("doctor")
	for _, f := range report.Findings {
		if !strings.Contains(text, f.About) {
			p.t.Errorf("%s is missing in\n%s", f.About, text)
		}
	}
	p.checkWidth(text)
	return text, status
}

// rejections checks what the report says about the last minutes, whether or not somebody
// looks at the console.
func (p *gatewayProcess) rejections(want string) {
	p.t.Helper()
	out, _ := p.run("doctor", "--json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &report); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for _, r := range report.Rejections {
		got = append(got, fmt.Sprint(r.Handler, " ", r.Reason, " ", r.Count))
		if r.Do == "" || r.Last.IsZero() {
			p.t.Errorf("incomplete: %+v", r)
		}
	}
	slices.Sort(got)
	wanted := strings.Split(want, ", ")
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		p.t.Errorf("rejections %q, want %q", got, wanted)
	}
	text, _ := p.run("doctor")
	if !strings.Contains(text, "\nREJECTED IN 5 MINUTES  REASON") {
		p.t.Errorf("no rejections in\n%s", text)
	}
}

// run runs another command of the binary against the gateway, and returns what it prints
// and its exit status.
func (p *gatewayProcess) run(args ...string) (output string, status int) {
	p.t.Helper()
	cmd := exec.Command(p.cmd.Path, args...)
	cmd.Dir = p.dir
	cmd.Env = append(p.cmd.Env, "GATEWAY_EMBEDDED_LISTEN="+strings.TrimPrefix(p.at.NATS, "nats://"),
		"GATEWAY_ADMIN_LISTEN="+strings.TrimPrefix(p.at.Admin, "http://"), "GATEWAY_LISTEN="+strings.TrimPrefix(p.at.Webhook, "http://"))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (p *gatewayProcess) checkWidth(text string) {
	p.t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if n := len([]rune(line)); n > lineWidth {
			p.t.Errorf("%d columns: %s", n, line)
		}
	}
}
