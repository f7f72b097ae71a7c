package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestCommandsInEveryMode: the commands read where consumers read, in a cluster and behind
// a relay.
func TestCommandsInEveryMode(t *testing.T) {
	t.Parallel()
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := natstest.StartCluster(t, 3, natstest.ClusterOptions{})
		p := startOn(t, c.URL())
		p.checkCommands(c.URL(), "s")
		p.terminate()
		p.wantLogged(`"msg":"events are replayed to a consumer"`)
	})
	t.Run("relay", func(t *testing.T) {
		t.Parallel()
		remote := natstest.Start(t, "")
		p := startGateway(t, t.TempDir(), "GATEWAY_NATS_URL="+remote.URL(), "GATEWAY_RELAY=true")
		eventually(t, "the relay has made the streams of the cluster", func() bool {
			_, err := natstest.JetStream(t, remote.URL()).Stream(t.Context(), "POSTBACKS_GIVEN_UP")
			return err == nil
		})
		p.checkCommands(remote.URL(), p.secret())
		p.terminate()
		p.wantLogged(`"msg":"events are replayed to a consumer"`)
	})
}

// checkCommands runs each command against a gateway whose consumers read at url.
func (p *gatewayProcess) checkCommands(url, secret string) {
	t := p.t.(*testing.T)
	js := natstest.JetStream(t, url)
	for _, press := range []string{"a start", "b start", "a plan:pro"} {
		user, payload, _ := strings.Cut(press, " ")
		body := simulate.Messenger(simulate.Click{Account: "17", User: user, Payload: payload, ID: "m_" + user + "_" + payload})
		if status, text := p.post(secret, body); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	p.diagnosedIn("no_consumer")
	p.says("stats", `{"prefix":"start","action":"_","events":2}`, "--json")
	p.says("stats", "2       66.7%  start   _\n", "--since", "1h")
	p.says("funnel", "\n1       50.0%", "start", "plan")
	p.says("unclaimed", "postback.v1.messenger.17.plan.pro")
	p.checkForward("m_a_plan:pro")
	p.checkGivenUp(js)
	p.checkDeadLetters(url, secret)
	p.checkConsole(url, secret)
}

// says runs a command until it prints a text: with a relay it takes a moment until the
// cluster has the events.
func (p *gatewayProcess) says(command, want string, args ...string) {
	p.t.Helper()
	text, status := "", 0
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s: status %d\n%s", command, status, text)
		}
	}()
	eventually(p.t, command+" prints "+want, func() bool {
		text, status = p.run(append([]string{command}, args...)...)
		return status == exitDone && strings.Contains(text, want)
	})
}

// diagnosedIn waits until the doctor finds a problem.
func (p *gatewayProcess) diagnosedIn(code string) {
	p.t.Helper()
	eventually(p.t, "the doctor finds "+code, func() bool {
		out, _ := p.run("doctor", "--json")
		var report doctor.Report
		if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &report); err != nil {
			p.t.Fatalf("%v: %s", err, out)
		}
		for _, f := range report.Findings {
			if f.Code == code {
				return report.ReadError == ""
			}
		}
		return false
	})
}

// checkForward has a service without NATS get an event.
func (p *gatewayProcess) checkForward(id string) {
	p.t.Helper()
	got := make(chan string, 10)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is cut off is not the event
		got <- string(body)
	}))
	p.t.Cleanup(service.Close)
	body := ""
	eventually(p.t, "an event is forwarded", func() bool { // it ends if a busy cluster does not respond at its start
		body = p.forward(service.URL, got)
		return body != ""
	})
	if !strings.Contains(body, `"id":"`+id+`"`) {
		p.t.Errorf("forwarded %s", body)
	}
}

// forward runs gateway forward until the service has got an event; it returns an empty one
// if the command ends before that.
func (p *gatewayProcess) forward(to string, got <-chan string) (body string) {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.t.Context(), natstest.Patience)
	defer stop()
	forwarding := exec.CommandContext(ctx, p.cmd.Path, "forward", "--to", to, "--durable", "service", "--since", "1h", "plan")
	forwarding.Dir, forwarding.Env = p.dir, p.cmd.Env
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		out, err := forwarding.CombinedOutput()
		p.t.Logf("gateway forward: %v\n%s", err, out)
	}()
	select {
	case body = <-got:
		stop()
		<-ended // it was killed
	case <-ended:
	}
	return body
}

// checkGivenUp has a consumer fail five times on an event, and replays it to that consumer.
func (p *gatewayProcess) checkGivenUp(js jetstream.JetStream) {
	t := p.t.(*testing.T)
	t.Helper()
	billing, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "postback.v1.*.*.plan.>", MaxDeliver: 5})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := nextOf(t, billing).Nak(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "billing has given it up", func() bool {
		if m, err := billing.Next(jetstream.FetchMaxWait(time.Second)); err == nil { // the server notices when somebody asks
			t.Fatalf("delivered again: %v", m.Headers())
		}
		text, _ := p.run("replay", "--given-up", "billing", "--dry-run", "--json")
		return strings.Contains(text, `"events":1,"given_up":[{"consumer":"billing"`)
	})
	if text, status := p.run("replay", "--given-up", "billing", "--yes"); status != exitDone || !strings.Contains(text, "Consumer billing receives 1 events.") {
		t.Errorf("status %d\n%s", status, text)
	}
	if m := nextOf(t, billing); m.Headers().Get(jetstream.MsgIDHeader) != "messenger:17:m_a_plan%3Apro" {
		t.Errorf("billing got %v", m.Headers())
	}
}

// nextOf waits for a message of a consumer.
func nextOf(t *testing.T, c jetstream.Consumer) jetstream.Msg {
	t.Helper()
	var m jetstream.Msg
	eventually(t, "the consumer gets a message", func() bool {
		var err error
		m, err = c.Next()
		return err == nil
	})
	return m
}
