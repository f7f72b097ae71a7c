package ingest

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/schema"
)

func storeOther(c *Config) { c.StoreOther = true }

// otherBodies are items that are not clicks, and what each has to give: subject without
// other.postback.v1, id ("" if it is derived), user and message id.
var otherBodies = map[string]struct {
	folder, body                 string
	subject, id, user, messageID string
}{
	"text":           {"messenger", messagingBody("page", `"message":{"mid":"m1","text":"hi"}`), "messenger.1.message", "m1:message", "u", "m1"},
	"echo":           {"messenger", strings.NewReplacer(`"sender":{"id":"u"}`, `"sender":{"id":"1"}`, `"recipient":{"id":"1"}`, `"recipient":{"id":"u"}`).Replace(messagingBody("page", `"message":{"mid":"m1","is_echo":true}`)), "messenger.1.echo", "m1:echo", "u", "m1"},
	"read":           {"messenger", messagingBody("page", `"read":{"watermark":1}`), "messenger.1.read", "", "u", ""},
	"delivery":       {"messenger", messagingBody("page", `"delivery":{"mids":["m1"],"watermark":1}`), "messenger.1.delivery", "", "u", ""},
	"reaction":       {"instagram", messagingBody("instagram", `"reaction":{"mid":"m1","action":"react"}`), "instagram.1.reaction", "", "u", ""},
	"standby text":   {"messenger", strings.Replace(messagingBody("page", `"message":{"mid":"m1","text":"hi"}`), `"messaging"`, `"standby"`, 1), "messenger.1.message", "m1:message:standby", "u", "m1"},
	"standby change": {"messenger", `{"object":"page","entry":[{"id":"1","changes":[{"field":"standby","value":{"sender":{"id":"u"},"recipient":{"id":"1"},"message":{"mid":"m1","text":"x"}}}]}]}`, "messenger.1.message", "m1:message:standby", "u", "m1"},
	"nothing":        {"messenger", messagingBody("page", `"x":null`), "messenger.1.x", "", "u", ""},
	"feed":           {"messenger", `{"object":"page","entry":[{"id":"1","time":1,"changes":[{"field":"feed","value":{"item":"post","from":{"id":"u","name":"Ana"}}}]}]}`, "messenger.1.feed", "", "u", ""},
	"comment":        {"instagram", `{"object":"instagram","entry":[{"id":"1","time":1,"field":"comments","value":{"id":"c","from":{"id":"u"},"text":"x"}}]}`, "instagram.1.comments", "", "u", ""},
	"field of text":  {"instagram", `{"object":"instagram","entry":[{"id":"1","changes":[{"field":"messages","value":{"sender":{"id":"u"},"recipient":{"id":"1"},"message":{"mid":"m1","text":"x"}}}]}]}`, "instagram.1.message", "m1:message", "u", "m1"},
	"call":           {"messenger", `{"object":"page","entry":[{"id":"1","time":1,"calls":[{"id":"c_1","to":"1","from":"u","event":"connect","timestamp":1671644824}]}]}`, "messenger.1.call_connect", "c_1:call_connect", "u", ""},
	"call by page":   {"messenger", `{"object":"page","entry":[{"id":"1","time":1,"calls":[{"id":"c_1","to":"u","from":"1","event":"terminate"}]}]}`, "messenger.1.call_terminate", "c_1:call_terminate", "u", ""},
	"entry":          {"messenger", `{"object":"page","entry":[{"id":"1","time":1,"changed_fields":["name"]}]}`, "messenger.1.changed_fields", "", "", ""},
	"no entry":       {"messenger", `{"object":"page"}`, "messenger._.delivery", "", "", ""},
	"unknown object": {"messenger", `{"object":"user","entry":[{"id":"7","changes":[{"field":"friends"}]}]}`, "meta.7.friends", "", "", ""},

	"whatsapp text":     {"whatsapp", whatsappDelivery(`"messages":[{"from":"44","id":"w1","timestamp":"1770000000","type":"text","text":{"body":"x"}}]`), "whatsapp.1.text", "w1:text", "44", "w1"},
	"whatsapp order":    {"whatsapp", whatsappDelivery(`"messages":[{"from":"44","id":"w1","type":"order","order":{}}]`), "whatsapp.1.order", "w1:order", "44", "w1"},
	"no type":           {"whatsapp", whatsappDelivery(`"messages":[{"from":"44","id":"w1"}]`), "whatsapp.1.message", "w1:message", "44", "w1"},
	"status":            {"whatsapp", whatsappDelivery(`"statuses":[{"id":"w1","status":"read","timestamp":"1770000000","recipient_id":"44"}]`), "whatsapp.1.status_read", "w1:status_read", "44", "w1"},
	"status in a group": {"whatsapp", whatsappDelivery(`"statuses":[{"id":"w1","status":"read","recipient_id":"g","recipient_type":"group","recipient_participant_id":"44"}]`), "whatsapp.1.status_read", "", "44", "w1"},
	"echo of a number":  {"whatsapp", whatsappDelivery(`"message_echoes":[{"id":"w1","from":"1","to":"44","type":"text"}]`), "whatsapp.1.echo", "w1:echo", "44", "w1"},
	"errors":            {"whatsapp", whatsappDelivery(`"errors":[{"code":1}]`), "whatsapp.1.errors", "", "", ""},
	"template":          {"whatsapp", `{"object":"whatsapp_business_account","entry":[{"id":"waba","changes":[{"field":"message_template_status_update","value":{"event":"APPROVED"}}]}]}`, "whatsapp.waba.message_template_status_update", "", "", ""},
	"phone call":        {"whatsapp", callsBody(`{"id":"wacid.1","from":"44","to":"1","event":"connect"}`), "whatsapp.1.call_connect", "wacid.1:call_connect", "44", ""},
	"outgoing call":     {"whatsapp", callsBody(`{"id":"wacid.1","from":"1","to":"44","event":"terminate","direction":"BUSINESS_INITIATED"}`), "whatsapp.1.call_terminate", "wacid.1:call_terminate", "44", ""},

	"update":           {"telegram", `{"update_id":5,"message":{"message_id":3,"date":1770000000,"from":{"id":7},"chat":{"id":7},"text":"hi"}}`, "telegram.shop_bot.message", "5:message", "7", "3"},
	"edited":           {"telegram", `{"update_id":5,"edited_message":{"message_id":3,"from":{"id":7},"chat":{"id":7},"text":"hi"}}`, "telegram.shop_bot.edited_message", "5:edited_message", "7", "3"},
	"anonymous":        {"telegram", `{"update_id":5,"message":{"message_id":3,"from":{"id":1087968824},"sender_chat":{"id":-100,"title":"G"},"chat":{"id":-100},"text":"hi"}}`, "telegram.shop_bot.message", "5:message", "-100", "3"},
	"poll":             {"telegram", `{"update_id":5,"poll":{"id":"p"}}`, "telegram.shop_bot.poll", "5:poll", "", ""},
	"reaction to post": {"telegram", `{"update_id":5,"message_reaction":{"chat":{"id":-1},"message_id":3,"user":{"id":7}}}`, "telegram.shop_bot.message_reaction", "5:message_reaction", "7", "3"},
	"game":             {"telegram", `{"update_id":5,"callback_query":{"id":"c","from":{"id":7},"game_short_name":"g"}}`, "telegram.shop_bot.callback_query", "5:callback_query", "7", ""},
	"checkout":         {"telegram", `{"update_id":5,"pre_checkout_query":{"id":"q","from":{"id":7},"invoice_payload":"x"}}`, "telegram.shop_bot.pre_checkout_query", "5:pre_checkout_query", "7", ""},
	"widget":           {"telegram", `{"update_id":5,"widget_query":{"id":"q","from":{"id":7},"data":"x"}}`, "telegram.shop_bot.widget_query", "5:widget_query", "7", ""},
	"empty update":     {"telegram", `{"update_id":5}`, "telegram.shop_bot.update", "5:update", "", ""},
	"odd user":         {"telegram", `{"update_id":5,"poll_answer":{"user":{"language_code":"es"}}}`, "telegram.shop_bot.poll_answer", "5:poll_answer", "", ""},
	"no update id":     {"telegram", `{"odd":[]}`, "telegram.shop_bot.odd", "", "", ""},
}

func messagingBody(object, member string) string {
	return `{"object":"` + object + `","entry":[{"id":"1","time":1,"messaging":[{"sender":{"id":"u"},"recipient":{"id":"1"},"timestamp":1770000000000,` + member + `}]}]}`
}

func callsBody(call string) string {
	return strings.Replace(whatsappDelivery(`"calls":[`+call+`]`), `"field":"messages"`, `"field":"calls"`, 1)
}

func TestOtherItems(t *testing.T) {
	ts := newTestServer(t, storeOther)
	for name, test := range otherBodies {
		t.Run(name, func(t *testing.T) {
			a := ts.deliver(t, sample{folder: test.folder, body: []byte(test.body)})
			got := ts.pub.taken()
			if a.status != 200 || a.body != string(counts{accepted: 1}.json()) || len(got) != 1 {
				t.Fatalf("got %d %s, %d messages", a.status, a.body, len(got))
			}
			checkMessage(t, got[0])
			var e schema.Event
			if err := json.Unmarshal(got[0].Data, &e); err != nil {
				t.Fatal(err)
			}
			if want := "other.postback.v1." + test.subject; got[0].Subject != want || e.Type != schema.TypeOther {
				t.Errorf("got %s on %s, want %s", e.Type, got[0].Subject, want)
			}
			d := e.Data
			if test.id == "" && len(e.ID) != 32 || test.id != "" && e.ID != test.id {
				t.Errorf("id is %s, want %q", e.ID, test.id)
			}
			if d.User.ID != test.user || d.MessageID != test.messageID || len(d.Raw) == 0 || !strings.Contains(test.body, string(d.Raw)) {
				t.Errorf("got %+v", d)
			}
			if d.Kind != "" || d.Title != "" || d.Payload != nil || strings.Contains(string(got[0].Data), `"user":{}`) {
				t.Errorf("got %s", got[0].Data)
			}
		})
	}
	if n := testutil.ToFloat64(ts.metrics.events.WithLabelValues(schema.Telegram, labelOther, "stored")); n != 11 {
		t.Errorf("%v items of Telegram are counted as other", n)
	}
	if n := testutil.CollectAndCount(ts.metrics.clicks); n != 0 {
		t.Errorf("%d series of clicks", n)
	}
}

// Nothing of a delivery is ignored any more, and clicks are the same.
func TestStoreOtherKeepsClicks(t *testing.T) {
	without, with := newTestServer(t, nil), newTestServer(t, storeOther)
	for _, file := range deliveries(t) {
		a, b := without.deliver(t, file), with.deliver(t, file)
		if a.status != b.status || !strings.Contains(b.body, `"ignored":0`) {
			t.Errorf("%s: got %d %s, want %d", file.name(), b.status, b.body, a.status)
		}
		var clicks []schema.Message
		for _, m := range with.pub.taken() {
			checkMessage(t, m)
			if !strings.HasPrefix(m.Subject, schema.OtherRoot) {
				clicks = append(clicks, m)
			}
		}
		want := without.pub.taken()
		if len(clicks) != len(want) {
			t.Fatalf("%s: %d clicks and dead letters, want %d", file.name(), len(clicks), len(want))
		}
		for i := range want {
			if clicks[i].Subject != want[i].Subject || string(clicks[i].Data) != string(want[i].Data) {
				t.Errorf("%s: got %s, want %s", file.name(), clicks[i].Data, want[i].Data)
			}
		}
	}
}

// TestGoldenOther compares the deliveries that have such items with golden files of their
// own.
func TestGoldenOther(t *testing.T) {
	without, with := newTestServer(t, nil), newTestServer(t, storeOther)
	for _, file := range deliveries(t) {
		if a := without.deliver(t, file); strings.Contains(a.body, `"ignored":0`) || a.status != 200 {
			continue
		}
		t.Run(file.name(), func(t *testing.T) {
			got := golden{Answer: json.RawMessage(with.deliver(t, file).body)}
			for _, m := range with.pub.taken() {
				got.Messages = append(got.Messages, goldenMessage{m.Subject, m.ID, m.Data})
			}
			compareGolden(t, "testdata/"+file.name()+".other.golden.json", got)
		})
	}
}

// What cannot be a part of an event becomes a dead letter: it is not lost either.
func TestOtherItemThatIsNotSafe(t *testing.T) {
	ts := newTestServer(t, storeOther)
	for body, detail := range map[string]string{
		messagingBody("page", `"message":{"text":"`+"\xff"+`"}`):                                              "not UTF-8",
		messagingBody("page", `"x":`+strings.Repeat("[", 51)+strings.Repeat("]", 51)):                         "nested deeper",
		messagingBody("page", `"message":{"mid":"`+strings.Repeat("m", 5)+`\u0000","text":"hi"}`):             "no control characters",
		strings.ReplaceAll(messagingBody("page", `"x":1`), `"id":"1"`, `"id":"`+strings.Repeat("1", 129)+`"`): "account of 129 bytes",
	} {
		a := ts.post(t, []byte(body), nil)
		got := ts.pub.taken()
		if a.status != 200 || len(got) != 1 || got[0].DeadLetter != schema.ReasonMalformed || !strings.Contains(string(got[0].Data), detail) {
			t.Errorf("got %d %s %v, want %s", a.status, a.body, got, detail)
		}
	}
}

// A long id of the platform leaves no room for what the item is.
func TestOtherItemWithALongID(t *testing.T) {
	ts := newTestServer(t, storeOther)
	ts.post(t, []byte(messagingBody("page", `"message":{"mid":"`+strings.Repeat("m", 250)+`"}`)), nil)
	if got := ts.pub.taken(); len(got) != 1 || len(got[0].ID) != len("messenger:1:")+32 {
		t.Errorf("got %v", got)
	}
}

// The smallest possible items do not take hundreds of times their size in memory.
func TestOtherItemsAreBounded(t *testing.T) {
	ts := newTestServer(t, storeOther)
	const items = 10000
	body := `{"object":"page","entry":[{"id":"1","messaging":[` + strings.Repeat("{},", items-1) + `{}]}]}`
	most := maxOthers + len(body)/bytesOfOther
	a := ts.post(t, []byte(body), nil)
	got := ts.pub.taken()
	if want := string(counts{accepted: most, rejected: items - most}.json()); a.status != 200 || a.body != want || len(got) != most+1 {
		t.Fatalf("got %d %s, %d messages, want %s", a.status, a.body, len(got), want)
	}
	var letter schema.DeadLetter
	if err := json.Unmarshal(got[most].Data, &letter); err != nil {
		t.Fatal(err)
	}
	if letter.Body != body || letter.Detail != fmt.Sprintf("%d more items that are malformed or not clicks: the whole delivery is kept", items-most) {
		t.Errorf("got %s, %d bytes", letter.Detail, len(letter.Body))
	}
}

func TestTelegramAnswer(t *testing.T) {
	read := func(name string) sample {
		body, err := os.ReadFile("testdata/telegram/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		return sample{schema.Telegram, name, body}
	}
	ts := newTestServer(t, func(c *Config) { c.TelegramAnswer = true })
	for name, want := range map[string]string{
		"callback-business":       `{"method":"answerCallbackQuery","callback_query_id":"7000000000000000001"}`,
		"callback-game":           `{"accepted":0,"duplicates":0,"ignored":1,"rejected":0}`,
		"callback-without-person": `{"accepted":0,"duplicates":0,"ignored":0,"rejected":1}`,
		"start":                   `{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`,
	} {
		for range 2 { // the answer to a repeated delivery is the same
			if a := ts.deliver(t, read(name)); a.status != 200 || a.body != want {
				t.Errorf("%s: got %d %s, want %s", name, a.status, a.body, want)
			}
		}
	}
	if got := string(callbackAnswer(`1"2`)); got != `{"method":"answerCallbackQuery","callback_query_id":"1\"2"}` {
		t.Errorf("got %s", got)
	}
}

// FuzzOther: every well-formed item can be stored, or becomes a dead letter that says why.
func FuzzOther(f *testing.F) {
	for _, test := range otherBodies {
		f.Add([]byte(test.body), test.folder == schema.Telegram)
	}
	f.Fuzz(func(t *testing.T, body []byte, isTelegram bool) {
		b := &batch{receivedAt: testNow, storeOther: true, isUTF8: utf8.Valid(body)}
		if isTelegram {
			b.account = testBot
			decodeTelegram(b, body)
		} else {
			decodeMeta(b, body)
		}
		for i := range b.items {
			checkItem(t, &b.items[i])
			if e := b.items[i].Event; e != nil && (e.Type == schema.TypeOther) != (e.Data.What != "" && len(e.Data.Raw) > 0 && e.Data.Kind == "") {
				t.Errorf("got %+v", e)
			}
		}
	})
}
