package ingest

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

func TestActivity(t *testing.T) {
	ts := newTestServer(t, nil)
	get := func(query string) {
		ts.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", query, nil))
	}
	if a := ts.Activity(); !a.Since.Equal(testNow.Truncate(1e6)) || len(a.Webhooks)+len(a.Accounts)+len(a.Kinds) > 0 {
		t.Errorf("at the start: %+v", a)
	}
	get("/webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong")
	a := ts.Activity()
	if w := a.Webhooks[0]; w.Webhook != "meta" || w.HandshakeRejected.IsZero() || !w.Handshake.IsZero() {
		t.Errorf("after a wrong verify token: %+v", w)
	}
	get("/webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=" + testToken)
	get("/webhook?hub.mode=subscribe")
	ts.post(t, []byte(okPostback), map[string]string{headerSignature: signatureOf("other", []byte(okPostback))})
	ts.post(t, []byte("x"), nil)
	ts.post(t, []byte(strings.Replace(string(simulate.Messenger(simulate.Click{Account: "17", User: "1", Payload: "a"})), "messaging", "standby", 1)), nil)
	ts.post(t, simulate.Messenger(simulate.Click{Account: "18", User: "1", Payload: "a"}), nil)
	ts.post(t, []byte(`{"object":"page","entry":[{"id":"18","messaging":[{"sender":{"id":"1"},"message":{"mid":"m","text":"hi"}}]}]}`), nil)
	a = ts.Activity()
	w := a.Webhooks[0]
	if len(a.Webhooks) != 1 || w.Handshake.IsZero() || !w.Delivery.Equal(testNow) || w.Rejections != 1 || w.Reason != "mismatch" || w.Help == "" || w.DeadLetterReason != "not_json" {
		t.Errorf("webhooks: %+v", a.Webhooks)
	}
	if a.WrongPathName != "/webhook" {
		t.Errorf("wrong path: %q", a.WrongPathName)
	}
	if got := fmt.Sprintln(len(a.Accounts), a.Accounts[0].Account, a.Accounts[0].Primary.IsZero(), a.Accounts[0].Standby.IsZero(),
		a.Accounts[1].Account, a.Accounts[1].Primary.IsZero(), a.Accounts[1].Standby.IsZero()); got != "2 17 true false 18 false true\n" {
		t.Errorf("accounts: %s", got)
	}
	var kinds []string
	for _, k := range a.Kinds {
		kinds = append(kinds, k.Kind)
	}
	if got := strings.Join(kinds, " "); got != "button none" {
		t.Errorf("kinds: %s", got)
	}
}

// TestActivityIsBounded: whoever can sign deliveries cannot fill the memory.
func TestActivityIsBounded(t *testing.T) {
	var a activity
	for i := range 2 * maxRecords {
		a.accounts.get([2]string{"messenger", fmt.Sprint(i)}).primary.set(testNow)
	}
	if n := len(a.read().Accounts); n != maxRecords {
		t.Errorf("%d records", n)
	}
}
