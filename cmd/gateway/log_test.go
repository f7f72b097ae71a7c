package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestDeliveriesDoNotWaitForTheLog: a gateway whose log nobody reads answers.
func TestDeliveriesDoNotWaitForTheLog(t *testing.T) {
	p := newProcess(t, t.TempDir())
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	for lines := bufio.NewScanner(stderr); p.at.Webhook == "" && lines.Scan(); {
		p.at, _ = addressesIn(lines.Bytes())
	}
	// A pipe has room for 64 KiB, and a line has 250 bytes.
	tr := traffic{base: p.at.Webhook, secret: p.secret(), name: "unread", clients: 4}.start(t)
	tr.awaitGood(t, 1000)
	wantOnly200And503(t, tr.stop())
}

// linesOf returns the lines with a message.
func linesOf(log, message string) (lines []map[string]any) {
	for text := range strings.Lines(log) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == message {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestLogHoldsNoPayloads is the whole log of a gateway at info, in its good and its
// bad moments: NATS reports a permission that is missing with the whole subject,
// in which the payload stands.
func TestLogHoldsNoPayloads(t *testing.T) {
	t.Parallel()
	const users = `authorization { users: [ {user: "gw", password: "pw", permissions: {publish: {allow: [">"], deny: ["postback.v1.messenger.2.>"]}}}, {user: "reader", password: "pw"} ] }`
	server := natstest.Start(t, users)
	p := startGateway(t, t.TempDir(), "GATEWAY_NATS_URL="+server.URL(), "GATEWAY_NATS_USER=gw", "GATEWAY_NATS_PASSWORD=pw",
		"GATEWAY_META_APP_SECRETS=hush-secret", "GATEWAY_META_VERIFY_TOKEN=v", "GATEWAY_TELEGRAM_SECRETS=bot:hush-token",
		"GATEWAY_PUBLISH_TIMEOUT=1500ms", "GATEWAY_LOG_LEVEL=info")
	hushed := func(account string) simulate.Click {
		return simulate.Click{Account: account, User: "hush-user", Title: "hush-title", Payload: "hush-prefix:hush-action", Ref: "hush-ref", ID: "hush-" + account}
	}
	nobody := hushed("1")
	nobody.User = ""
	for _, test := range []struct {
		name   string
		secret string
		body   []byte
		status int
	}{
		{"stored", "hush-secret", simulate.Messenger(hushed("1")), http.StatusOK},
		{"duplicate", "hush-secret", simulate.Messenger(hushed("1")), http.StatusOK},
		{"rejected", "hush-secret", simulate.Messenger(nobody), http.StatusOK},
		{"not JSON", "hush-secret", []byte("hush"), http.StatusBadRequest},
		{"another secret", "hush-other", simulate.Messenger(hushed("1")), http.StatusUnauthorized},
		{"forbidden", "hush-secret", simulate.Messenger(hushed("2")), http.StatusServiceUnavailable},
	} {
		if status, body := p.post(test.secret, test.body); status != test.status {
			t.Errorf("%s: answered %d %s, want %d", test.name, status, body, test.status)
		}
	}
	p.awaitReady() // with the store known to respond, the next delivery is no probe
	for token, want := range map[string]int{"hush-token": http.StatusOK, "hush-other": http.StatusUnauthorized} {
		body := simulate.Telegram(hushed("bot"))
		request, err := simulate.TelegramRequest(p.at.Webhook, "bot", token, body)
		if err != nil {
			t.Fatal(err)
		}
		if status, text := p.do(request); status != want {
			t.Errorf("telegram: answered %d %s, want %d", status, text, want)
		}
	}
	p.terminate()
	log := p.log.String()
	if strings.Contains(log, "hush") {
		t.Errorf("the log holds what was sent:\n%s", log)
	}
	if stopped := linesOf(log, "gateway has stopped"); len(stopped) != 1 || !strings.HasSuffix(fmt.Sprint(stopped[0]["duration"]), "s") {
		t.Errorf("the end of the log has no duration with a unit:\n%s", log)
	}
	if complaints := linesOf(log, "NATS reports an error"); len(complaints) != 1 || !strings.Contains(complaints[0]["error"].(string), `to "postback.v1.>"`) {
		t.Errorf("complaints %v in\n%s", complaints, log)
	}
	var outcomes []any
	for _, line := range linesOf(log, "delivery") {
		outcomes = append(outcomes, line["outcome"])
	}
	if want := "[stored duplicate rejected rejected failed stored]"; fmt.Sprint(outcomes) != want {
		t.Errorf("the lines of deliveries are of %v, want %s:\n%s", outcomes, want, log)
	}
}
