package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// checkConsole asks the console's API what its page does, of a gateway whose consumers
// read at url: a delivery, clicks, a funnel, consumers, the status, dead letters, and a
// replay to a consumer.
func (p *gatewayProcess) checkConsole(url, secret string) {
	t := p.t.(*testing.T)
	t.Helper()
	js := natstest.JetStream(t, url)
	crm, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "crm", FilterSubject: "postback.v1.*.*.order.>"})
	if err != nil {
		t.Fatal(err)
	}
	next := p.watchDeliveries()
	for _, press := range []string{"x menu", "y menu", "y order:1"} {
		user, payload, _ := strings.Cut(press, " ")
		body := simulate.Messenger(simulate.Click{Account: "17", User: user, Payload: payload, ID: "c_" + user + "_" + payload})
		if status, text := p.post(secret, body); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	rows := next(`"text":"order:1"`)
	seq := rows[len(rows)-1].Seq
	p.shows(fmt.Sprint("/api/deliveries/", seq), `"subject":"postback.v1.messenger.17.order.1"`)
	p.shows(fmt.Sprint("/api/deliveries/", seq, "/receivers"), `"name":"crm","durable":true`)
	p.shows("/api/receivers?subject=postback.v1.messenger.17.order.1", `"name":"crm"`)
	p.shows("/api/clicks?by=action", `"prefix":"menu","action":"_","events":2`)
	p.shows("/api/clicks?by=action&window=1h", `"prefix":"menu","action":"_","events":2`)
	p.shows("/api/funnel?step=menu&step=order", `{"step":"menu","people":2,"median_ns":0},{"step":"order","people":1,`)
	p.shows("/api/consumers", `"name":"crm"`)
	p.shows("/api/page", `"notReady":[]`)
	p.checkFix(js)
	order := nextOf(t, crm)
	if err := order.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := p.shows("/api/fix/consumer", `"consumer":"crm","events":`, `{"consumer":"crm","id":"c_y_order:1","run":true}`)
	if again := nextOf(t, crm); again.Headers().Get(jetstream.MsgIDHeader) != order.Headers().Get(jetstream.MsgIDHeader) {
		t.Errorf("%s: crm got %v", text, again.Headers())
	}
}

// checkFix replays a dead letter that is a click now.
func (p *gatewayProcess) checkFix(js jetstream.JetStream) {
	t := p.t.(*testing.T)
	t.Helper()
	rejectedOnce(t, js, itemOf("c_lost", "order:2"))
	s, err := js.Stream(t.Context(), "POSTBACKS_DEADLETTER")
	if err != nil {
		t.Fatal(err)
	}
	seq := s.CachedInfo().State.LastSeq
	p.shows("/api/fix", fmt.Sprintf(`"seq":%d,`, seq))
	p.shows("/api/fix/count", `"count":`)
	p.shows(fmt.Sprint("/api/fix/dead-letters/", seq), `"where":"value/postback"`)
	letter := fmt.Sprintf(`{"sequences":[%d]`, seq)
	p.shows("/api/fix/dead-letters", `"result":"stored"`, letter+`,"dry_run":true}`)
	p.shows("/api/fix/dead-letters", `"result":"stored"`, letter+`}`)
	p.shows("/api/clicks?by=action", `"prefix":"order","action":"2","events":1`)
	if status, text := p.get(fmt.Sprint(p.at.Admin, "/api/fix/dead-letters/", seq)); status != http.StatusNotFound {
		t.Errorf("what was replayed is still there: %d %s", status, text)
	}
}

// shows asks the API until the answer has a text: a replica, or a relay, is a moment
// behind. An action is asked for once.
func (p *gatewayProcess) shows(path, want string, action ...string) (answer string) {
	p.t.Helper()
	method, body := http.MethodGet, strings.Join(action, "")
	if body != "" {
		method = http.MethodPost
	}
	ask := func() bool {
		request, err := http.NewRequest(method, p.at.Admin+path, strings.NewReader(body))
		if err != nil {
			p.t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-Gateway-Action", "test")
		status, text := p.do(request)
		answer = text
		return status == http.StatusOK && strings.Contains(text, want)
	}
	if body != "" {
		if !ask() {
			p.t.Errorf("%s %s: %s, want %s", path, body, answer, want)
		}
		return answer
	}
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s: %s", path, answer)
		}
	}()
	eventually(p.t, path+" shows "+want, ask)
	return answer
}

// watchDeliveries looks at the list of deliveries. The returned function waits until it
// has a text, and returns the rows since then.
func (p *gatewayProcess) watchDeliveries() (next func(want string) []struct{ Seq uint64 }) {
	p.t.Helper()
	client := http.Client{Timeout: time.Minute}
	response, err := client.Get(p.at.Admin + "/api/deliveries/live")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewReader(response.Body)
	return func(want string) []struct{ Seq uint64 } {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				p.t.Fatalf("%s is not listed: %v", want, err)
			}
			data, isData := strings.CutPrefix(line, "data: ")
			if !isData || !strings.Contains(data, want) {
				continue
			}
			var message struct{ Rows []struct{ Seq uint64 } }
			if err := json.Unmarshal([]byte(data), &message); err != nil {
				p.t.Fatal(err)
			}
			return message.Rows
		}
	}
}
