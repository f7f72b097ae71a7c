package console

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// TestDeadLetterMasked: who the dead letter is about is shown only when somebody asks; its
// account, its place and the names of its members always are.
func TestDeadLetterMasked(t *testing.T) {
	d := &schema.DeadLetter{
		Reason: schema.ReasonMalformed, Platform: "messenger", Detail: `postback/payload has to be a string, this is a JSON number, by 4711`, Length: 9,
		Body:     `{"sender":{"id":"4711"},"recipient":{"id":"17"},"postback":{"title":"Ana","payload":7},"access_token":"hush"}`,
		Envelope: schema.Envelope{Before: `{"object":"page","entry":[{"id":"17","messaging":[`, After: `]}]}`},
	}
	l := describeLetter(&stream.Message{Sequence: 3, Subject: "s"}, d, false)
	if l.Account != "17" || l.Where != "postback/payload" || l.Seq != 3 || !strings.Contains(l.Body, `"17"`) || !strings.Contains(l.Body, `"payload": 7`) {
		t.Errorf("%+v", l)
	}
	for _, text := range []string{"4711", "Ana", "hush"} {
		if strings.Contains(l.Body+l.Detail, text) {
			t.Errorf("%s is shown: %+v", text, l)
		}
	}
	l = describeLetter(&stream.Message{}, d, true)
	if !strings.Contains(l.Body, "Ana") || l.Detail != d.Detail || strings.Contains(l.Body, "hush") {
		t.Errorf("revealed: %+v", l)
	}
}

// TestDeadLetterOfDelivery: a delivery and the view Fix show the same of a dead letter, and
// each knows the other. After a replay the delivery says that it is gone.
func TestDeadLetterOfDelivery(t *testing.T) {
	c := newTestConsole(t)
	defer c.ring.Watch()()
	body := []byte(`{"object":"page","entry":[{"id":"17","messaging":[{"sender":{"id":"4711"},"recipient":{"id":"17"},"timestamp":1,"postback":{"mid":"m","title":"Ana","payload":7}}]}]}`)
	c.deliver(testSecret, body)
	c.deliver(testSecret, body) // again: the dead letter is stored already
	path := c.delivery(1)
	var shown struct {
		Seq     uint64
		Account string
		Detail  string
		Events  []struct{ Letter *letterDetail }
	}
	_, text := c.do("GET", path, "")
	if err := json.Unmarshal([]byte(text), &shown); err != nil || len(shown.Events) != 1 || shown.Events[0].Letter == nil {
		t.Fatalf("%v %s", err, text)
	}
	_, text = c.do("GET", path+"/receivers", "")
	var found []receivers
	if err := json.Unmarshal([]byte(text), &found); err != nil || len(found) != 1 || found[0].Letter == 0 {
		t.Fatalf("the delivery does not know its dead letter: %v %s", err, text)
	}
	_, text = c.do("GET", fmt.Sprintf("/api/fix/dead-letters/%d", found[0].Letter), "")
	var letter letterDetail
	if err := json.Unmarshal([]byte(text), &letter); err != nil || letter.Delivery != shown.Seq {
		t.Fatalf("the dead letter does not know its delivery %d: %v %s", shown.Seq, err, text)
	}
	same := *shown.Events[0].Letter
	same.Seq, same.Delivery, same.ReceivedAt = letter.Seq, letter.Delivery, letter.ReceivedAt
	if !reflect.DeepEqual(same, letter) || shown.Account != letter.Account || shown.Detail != letter.Detail || !strings.Contains(letter.Detail, "payload") {
		t.Errorf("the delivery shows %+v, %s, %s\nFix shows %+v", same, shown.Account, shown.Detail, letter)
	}
	_, text = c.do("GET", path, "")
	if strings.Contains(text, "4711") || strings.Contains(text, "Ana") || strings.Contains(text, masked("17")) {
		t.Errorf("not masked, or its account is: %s", text)
	}
	letters, err := natstest.JetStream(t, "", publishtest.InProcess(c.store)).Stream(t.Context(), "POSTBACKS_DEADLETTER")
	if err != nil {
		t.Fatal(err)
	}
	if err := letters.DeleteMsg(t.Context(), letter.Seq); err != nil {
		t.Fatal(err)
	}
	if _, text = c.do("GET", path+"/receivers", ""); !strings.Contains(text, "not among the dead letters") || strings.Contains(text, `"letter"`) {
		t.Errorf("after a replay: %s", text)
	}
}

// TestOwnDetail: what the gateway itself says about a place is shown at once.
func TestOwnDetail(t *testing.T) {
	for detail, want := range map[string]bool{
		"postback/payload has to be a string, this is a JSON number": true,
		"entry/0/id is missing":                       true,
		"postback/4915550102030 has to be a string":   false,
		"Ana Example is missing":                      false,
		`an id has at most 255 bytes, this is "4711"`: false,
	} {
		if got := isOwnDetail(&schema.DeadLetter{Reason: schema.ReasonMalformed, Detail: detail}); got != want {
			t.Errorf("%s: %t", detail, got)
		}
	}
}

func TestAccountOf(t *testing.T) {
	for want, e := range map[string]schema.Envelope{
		"":         {},
		"shop_bot": {Account: "shop_bot"},
		"17":       {Before: `{"object":"page","entry":[{"id":"17","messaging":[`, After: `]}]}`},
		"400":      {Before: `{"entry":[{"id":"1","changes":[{"value":{"metadata":{"phone_number_id":"400"},"messages":[`, After: `]}}]}]}`},
	} {
		if got := accountOf(&schema.DeadLetter{Envelope: e}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWhere(t *testing.T) {
	for detail, want := range map[string]string{
		"postback/payload has to be a string, this is a JSON number":   "postback/payload",
		"to phone number id 400: interactive/list_reply/id is missing": "interactive/list_reply/id",
		"not JSON at byte 17: invalid character 'h' at start of value": "at byte 17",
		"user: expected an id":                       "",
		"Ana Example, 0155 5010, has to be a string": "",
	} {
		if got := whereIn(detail); got != want {
			t.Errorf("%s: got %q, want %q", detail, got, want)
		}
	}
}

// TestMaskSubject: an address that a person shared is in the subject of its click.
func TestMaskSubject(t *testing.T) {
	plain := "postback.v1.messenger.17.plan.pro"
	personal := "postback.v1.messenger.17." + schema.EscapeToken("ana@example.com") + "._"
	if maskSubject(plain) != plain || strings.Contains(maskSubject(personal), "ana") {
		t.Errorf("%s, %s", maskSubject(plain), maskSubject(personal))
	}
}
