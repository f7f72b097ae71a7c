package erase

import (
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// letter is a dead letter of a platform.
func letter(platform, body string) schema.Item {
	item := schema.Item{Rejection: schema.Rejection{Detail: "no JSON", ReceivedAt: time.Now()}, Body: []byte(body)}
	item.Rejection.Platform, item.Rejection.Reason = platform, schema.ReasonMalformed
	return item
}

func TestForgetFindsIdsInDeadLetters(t *testing.T) {
	long := strings.Repeat("x", 1<<20) // more than a dead letter can keep
	for _, test := range []struct {
		body, id string
		want     bool
	}{
		{`{"user_ref":"cart\/\u00e97"}`, "cart/é7", true},
		{`{"sender":{"id":"\u0031254159454682919"}}`, "1254159454682919", true},
		{`{"cart-99":1}`, "cart-99", true},
		{`{"user_ref":"cart-99"}`, "cart", false},
		{`{"user_ref":"cart-99"}`, "99", false},
		{`[16505551234, 1.50]`, "16505551234", true},
		{`[16505551234, 1.50]`, "1.50", true},
		{`[16505551234, 1.50]`, "1.5", false},
		{`[16505551234]`, "6505551234", false},
		{`{"vcard":"Ana\n1254159454682919"}`, "1254159454682919", true},
		{`{"vcard":"Ana\n91254159454682919"}`, "1254159454682919", false},
		{`{"json":"{\"id\":\"1254159454682919\"}"}`, "1254159454682919", true},
		{`{"text":"call 1234 now"}`, "1234", false},
		{`{"text":"call 12345 now"}`, "12345", true},
		{`{"text":"ask for a/b/c/d"}`, "a/b/c/d", false},
		{`{"id":"1001"`, "1001", true},
		{`id=1001&x=1`, "1001", true},
		{"\xff of 1001, and more", "1001", true},
		{`["1001","` + long + `"]`, "1001", true},
		{`["` + long + `","1001"]`, "1001", false}, // it is not kept
		{`1001` + strings.Repeat(" ", 1<<20) + `2`, "1001", true},
	} {
		item := letter(schema.Messenger, test.body)
		m, err := item.Message(schema.Subjects{Root: schema.DefaultRoot}, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		p := Person{Platform: schema.Messenger, User: test.id}
		if _, got := p.inDeadLetter(m.Data); got != test.want {
			t.Errorf("%s in %.60s: %t", test.id, test.body, got)
		}
	}
}

// contacts is an origin that names people beside the item.
type contacts struct{}

func (contacts) Envelope() schema.Envelope {
	return schema.Envelope{Before: `{"contacts":[{"wa_id":"16505551234"}],"messages":[`, After: "]}"}
}

func TestForgetFindsIdsAroundDeadLetters(t *testing.T) {
	item := letter(schema.WhatsApp, `{"type":"button"}`)
	item.Origin = contacts{}
	m, err := item.Message(schema.Subjects{Root: "postback.v1"}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"16505551234": true, "16505551235": false} {
		p := Person{Platform: schema.WhatsApp, User: id}
		if _, got := p.inDeadLetter(m.Data); got != want {
			t.Errorf("%s: %t", id, got)
		}
	}
}
