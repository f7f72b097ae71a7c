package erase_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/erase"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// TestForgetOthers: items that are not clicks are erased with the clicks, also if only the
// platform's item names the person.
func TestForgetOthers(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.StoreOther = true
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	for i, test := range []struct {
		account, user, raw string
	}{
		{"1", "1001", `{"message":{"text":"hello"}}`},
		{"1", "", `{"read":{"sender":{"id":"1001"}}}`},
		{"1", "1002", `{"message":{"text":"10011"}}`},
		{"2", "1001", `{}`},
	} {
		d := schema.Data{Platform: schema.Messenger, Account: schema.Account{ID: test.account}, User: schema.User{ID: test.user},
			What: "message", Channel: schema.ChannelPrimary, ReceivedAt: time.Now(), Raw: json.RawMessage(test.raw)}
		e, err := schema.New(fmt.Sprintf("m%d:message", i), time.Now(), d)
		if err != nil {
			t.Fatal(err)
		}
		mustPublish(t, p, schema.Item{Event: e})
	}
	if n := len(held(t, js, "POSTBACKS_OTHER")); n != 4 {
		t.Fatalf("%d items are stored, want 4", n)
	}
	all := mustForget(t, js.Conn(), erase.Request{People: []erase.Person{{schema.Messenger, "1", "1001"}}, Erase: true})
	if all[3].Stream != "POSTBACKS_OTHER" || all[3].Messages != 2 || len(held(t, js, "POSTBACKS_OTHER")) != 2 {
		t.Errorf("%+v", all)
	}
}
