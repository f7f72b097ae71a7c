package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// whatsappDelivery returns a delivery of one change, with members of its value.
func whatsappDelivery(members string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"field":"messages","value":{` +
		`"messaging_product":"whatsapp","metadata":{"phone_number_id":"1"},` + members + `}}]}]}`
}

// amongMessages puts one message between two good ones of the same change.
func amongMessages(message string) string {
	good := func(n int) string {
		return fmt.Sprintf(`{"from":"44","id":"good_%d","timestamp":"1770000000","type":"button","button":{"payload":"ok:%d","text":"OK"}}`, n, n)
	}
	return whatsappDelivery(`"contacts":[{"profile":{"name":"Ana"},"wa_id":"44"}],"messages":[` + good(1) + "," + message + "," + good(2) + `]`)
}

// TestWhatsAppMessages: a message is stored, ignored, or becomes a dead letter that says
// why. Its neighbours in the change are always stored.
func TestWhatsAppMessages(t *testing.T) {
	ts := newTestServer(t, nil)
	const head = `"from":"44","id":"m","timestamp":"1770000000",`
	reply := func(content string) string {
		return `{` + head + `"type":"interactive","interactive":` + content + `}`
	}
	deep := strings.Repeat("[", 51) + strings.Repeat("]", 51)
	for name, test := range map[string]struct {
		message string
		want    string // "accepted", "ignored", or the detail of the dead letter
	}{
		"text":                     {`{` + head + `"type":"text","text":{"body":"hi"}}`, "ignored"},
		"text, odd":                {`{"from":[],"id":{},"type":"text","context":5}`, "ignored"},
		"unknown":                  {`{"type":5,"x":[{"y":1}]}`, "ignored"},
		"empty":                    {`{}`, "ignored"},
		"reply of another type":    {reply(`{"type":"product","product":{}}`), "ignored"},
		"permission":               {reply(`{"type":"call_permission_reply","call_permission_reply":{}}`), "accepted"},
		"permission, odd":          {reply(`{"type":"call_permission_reply","call_permission_reply":5}`), "accepted"},
		"order, odd product":       {`{` + head + `"type":"order","context":{"referred_product":5}}`, "ignored"},
		"text, odd product":        {`{` + head + `"type":"text","context":{"referred_product":5}}`, "ignored"},
		"odd additional fields":    {`{` + head + `"type":"button","button":{},"group_id":{},"system":5,"context":{"id":{}}}`, "accepted"},
		"odd form name":            {reply(`{"nfm_reply":{"name":{},"body":5,"response_json":"{}"}}`), "accepted"},
		"system":                   {`{` + head + `"type":"system","system":{"type":"user_changed_user_id","user_id":"US.2","previous_user_id":"US.1"}}`, "accepted"},
		"system without a new id":  {`{` + head + `"type":"system","system":{"type":"user_changed_user_id","previous_user_id":"US.1"}}`, "ignored"},
		"system, something else":   {`{` + head + `"type":"system","system":{"type":"customer_identity_changed","wa_id":"45"}}`, "ignored"},
		"system, odd":              {`{` + head + `"type":"system","system":{"type":"user_changed_number","wa_id":{}}}`, "ignored"},
		"reply without a type":     {reply(`{}`), "ignored"},
		"nulls":                    {`{` + head + `"type":"text","interactive":null,"button":null,"referral":null,"context":null}`, "ignored"},
		"button reply":             {reply(`{"type":"button_reply","button_reply":{"id":"a","title":"A"}}`), "accepted"},
		"no type":                  {`{` + head + `"interactive":{"list_reply":{"id":"a"}}}`, "accepted"},
		"no payload":               {reply(`{"type":"button_reply","button_reply":{"title":"A"}}`), "accepted"},
		"null fields":              {reply(`{"type":"list_reply","list_reply":{"id":null,"title":null,"description":null}}`), "accepted"},
		"unknown fields":           {`{` + head + `"type":"button","button":{"payload":"a","x":[1]},"y":{}}`, "accepted"},
		"no id":                    {`{"from":"44","timestamp":"1770000000","type":"button","button":{"payload":"a"}}`, "accepted"},
		"number ids":               {`{"from":44,"id":7,"timestamp":1770000000,"type":"button","button":{"payload":"a"}}`, "accepted"},
		"timestamp of no use":      {`{"from":"44","id":"m","timestamp":{},"type":"button","button":{"payload":"a"}}`, "accepted"},
		"half a surrogate pair":    {`{` + head + `"type":"button","button":{"payload":"a","text":"\ud83d"}}`, "accepted"},
		"referral alone":           {`{` + head + `"type":"text","referral":{"source_type":"ad"}}`, "accepted"},
		"empty referral":           {`{` + head + `"referral":{}}`, "accepted"},
		"deep field of a referral": {`{` + head + `"referral":{"x":` + deep + `}}`, "accepted"},
		"number":                   {`5`, "an item has to be an object, this is a JSON number"},
		"null":                     {`null`, "an item has to be an object, this is a JSON null"},
		"interactive missing":      {`{` + head + `"type":"interactive"}`, "interactive is missing"},
		"interactive null":         {reply(`null`), "interactive is missing"},
		"interactive text":         {reply(`"what"`), "interactive has to be an object, this is a JSON string"},
		"reply missing":            {reply(`{"type":"nfm_reply"}`), "interactive/nfm_reply is missing"},
		"reply array":              {reply(`{"button_reply":[]}`), "interactive/button_reply has to be an object, this is a JSON array"},
		"payload number":           {reply(`{"button_reply":{"id":5}}`), "interactive/button_reply/id has to be a string, this is a JSON number"},
		"flow object":              {reply(`{"nfm_reply":{"response_json":{}}}`), "interactive/nfm_reply/response_json has to be a string, this is a JSON object"},
		"button missing":           {`{` + head + `"type":"button"}`, "button is missing"},
		"button text":              {`{` + head + `"type":"text","button":"x"}`, "button has to be an object, this is a JSON string"},
		"referral text":            {`{` + head + `"type":"text","referral":"x"}`, "referral has to be an object, this is a JSON string"},
		"context text":             {`{` + head + `"type":"button","context":"x","button":{}}`, "accepted"},
		"id fraction":              {`{"from":"44","id":1.5,"type":"button","button":{}}`, "id has to be a string or an integer"},
		"no person":                {`{"id":"m","type":"button","button":{"payload":"a"}}`, "no user: expected an id or a user_ref"},
		"long id":                  {`{"from":"44","id":"` + strings.Repeat("m", 256) + `","type":"button","button":{}}`, "id of 256 bytes: expected at most 255"},
		"not UTF-8":                {`{` + head + `"type":"button","button":{"payload":"a` + "\xff" + `"}}`, "the item is not UTF-8, which every JSON text has to be"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ts.post(t, []byte(amongMessages(test.message)), nil)
			got := ts.pub.taken()
			if len(got) < 2 || got[0].ID != "whatsapp:1:good_1" || got[len(got)-1].ID != "whatsapp:1:good_2" {
				t.Fatalf("the neighbours are not stored, in order: %d %s %v", a.status, a.body, got)
			}
			a.body = strings.Replace(a.body, `"accepted":2`, `"accepted":0`, 1)
			a.body = strings.Replace(a.body, `"accepted":3`, `"accepted":1`, 1)
			if test.want != "accepted" && test.want != "ignored" {
				test.want = "to phone number id 1: " + test.want
			}
			checkOneItem(t, got[1:len(got)-1], a, schema.WhatsApp, test.message, test.want)
		})
	}
}

// TestWhatsAppChanges: the JSON around the messages can be malformed as well.
func TestWhatsAppChanges(t *testing.T) {
	ts := newTestServer(t, nil)
	const good = `{"from":"44","id":"m","type":"button","button":{"payload":"a"}}`
	change := func(change string) string {
		return `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[` + change + `]}]}`
	}
	for body, want := range map[string]counts{
		`{"object":"whatsapp_business_account"}`:            {ignored: 1},
		change(`5`):                                         {rejected: 1},
		change(`{}`):                                        {ignored: 1},
		change(`{"field":"messages"}`):                      {ignored: 1},
		change(`{"field":"messages","value":null}`):         {ignored: 1},
		change(`{"field":"messages","value":5}`):            {rejected: 1},
		change(`{"field":"flows","value":5}`):               {ignored: 1},
		change(`{"field":"standby","value":{"standby":5}}`): {rejected: 1},
		change(`{"field":{},"value":{}}`):                   {ignored: 1},
		change(`{"value":{"metadata":{"phone_number_id":"1"},"messages":[` + good + `]}}`):                                           {accepted: 1},
		change(`{"value":{"messages":[` + good + `],"metadata":{"phone_number_id":1}},"field":"messages"}`):                          {accepted: 1},
		change(`{"field":"messages","value":{"messages":[` + good + `]}}`):                                                           {rejected: 1},
		change(`{"field":"messages","value":{"metadata":5,"messages":[` + good + `]}}`):                                              {rejected: 1},
		change(`{"field":"calls","value":{"metadata":{"phone_number_id":"1"},"messages":[` + good + `]}}`):                           {ignored: 1},
		change(`{"field":"standby","value":{"metadata":{"phone_number_id":"1"},"standby":null,"messages":[` + good + `]}}`):          {accepted: 1},
		change(`{"field":"standby","value":{"metadata":{"phone_number_id":"1"},"standby":{"standby":{"messages":[` + good + `]}}}}`): {ignored: 1},
		whatsappDelivery(`"messages":"x"`):                                                                        {rejected: 1},
		whatsappDelivery(`"messages":null`):                                                                       {ignored: 1},
		whatsappDelivery(`"messages":[]`):                                                                         {ignored: 1},
		whatsappDelivery(`"contacts":5,"messages":[` + good + `]`):                                                {accepted: 1},
		whatsappDelivery(`"contacts":[{"wa_id":{}}],"messages":[` + good + `]`):                                   {accepted: 1},
		whatsappDelivery(`"statuses":5,"messages":[` + good + `]`):                                                {accepted: 1},
		whatsappDelivery(`"statuses":[{},5,null],"messages":[` + good + `]`):                                      {accepted: 1, ignored: 3},
		whatsappDelivery(`"messages":[` + good + `],"messages":[` + strings.Replace(good, `"m"`, `"n"`, 1) + `]`): {accepted: 2},
		`{"object":"whatsapp_business_account","entry":[{"id":"1","messaging":[` + good + `]}]}`:                  {ignored: 1},
		`{"field":"messages","value":{"messaging_product":"whatsapp","messages":[5]}}`:                            {rejected: 1},
		`{"field":"messages","value":{"messaging_product":"other","messages":[5]}}`:                               {ignored: 1},
	} {
		t.Run(body, func(t *testing.T) {
			a := ts.post(t, []byte(body), nil)
			if a.status != 200 || a.body != string(want.json()) {
				t.Errorf("got %d %s, want %s", a.status, a.body, want.json())
			}
			for _, m := range ts.pub.taken() {
				checkMessage(t, m)
			}
		})
	}
}

// WhatsApp is the only platform whose samples can be recognized for certain.
func TestObjectOfSample(t *testing.T) {
	for body, want := range map[string]string{
		`{"field":"messages","value":{"messaging_product":"whatsapp"}}`: objectWhatsApp,
		`{"field":"messages","value":{"messaging_product":5}}`:          "page",
		`{"field":"messaging_postbacks","value":{}}`:                    "page",
		`{"field":"messages","value":"whatsapp"}`:                       "page",
	} {
		if got := objectOfSample([]byte(body)); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

// Many senders in one change are found by their ids in linear time.
func TestWhatsAppManyContacts(t *testing.T) {
	const n = 20000
	var contacts, messages strings.Builder
	for i := range n {
		fmt.Fprintf(&contacts, `{"wa_id":"%d","profile":{"name":"n%d"}},`, i+1, i+1)
		fmt.Fprintf(&messages, `{"from":"%d","id":"m%d","type":"button","button":{}},`, n-i, n-i)
	}
	b := &batch{receivedAt: testNow}
	decodeMeta(b, []byte(whatsappDelivery(`"contacts":[`+strings.TrimSuffix(contacts.String(), ",")+`],"messages":[`+strings.TrimSuffix(messages.String(), ",")+`]`)))
	if len(b.items) != n {
		t.Fatalf("%d items", len(b.items))
	}
	for i := range b.items {
		if u := b.items[i].Event.Data.User; u.Name != "n"+u.ID {
			t.Fatalf("%+v", u)
		}
	}
}

// FuzzWhatsAppMessages changes one message. Its neighbours are always stored, and the
// result can be published.
func FuzzWhatsAppMessages(f *testing.F) {
	for _, file := range deliveries(f) {
		if file.folder != schema.WhatsApp {
			continue
		}
		for _, message := range messagesOf(f, file.body) {
			f.Add([]byte(message))
		}
	}
	for _, message := range []string{
		`5`, `{"interactive":null}`, `{"type":"button"}`, `{"button":{"payload":"` + "\xff" + `"}}`, `{"referral":{"source_id":1e3}}`,
		`{"from":"\u0000","id":"\ud83d","interactive":{"list_reply":{"id":"a"},"button_reply":{"id":"b"}}}`,
		`{"button":{},"button":{"payload":"b"}}`, strings.Repeat(`{"interactive":`, 500) + "1" + strings.Repeat("}", 500),
	} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if !jsontext.Value(message).IsValid(lenient...) {
			t.Skip("not one JSON value")
		}
		b := &batch{receivedAt: testNow, includeRaw: len(message)%2 == 0, storeOther: len(message)%3 == 0, isUTF8: utf8.Valid(message)}
		decodeMeta(b, []byte(amongMessages(string(message))))
		if b.notJSON {
			t.Skip("nested too deeply together with its delivery")
		}
		checkNeighbours(t, b)
		for i := range b.items {
			checkItem(t, &b.items[i])
		}
	})
}

func checkNeighbours(t *testing.T, b *batch) {
	t.Helper()
	n := len(b.items)
	if n < 2 || b.items[0].Event == nil || b.items[0].Event.ID != "good_1" || b.items[n-1].Event == nil || b.items[n-1].Event.ID != "good_2" {
		t.Errorf("the neighbours are gone: %+v", b.items)
	}
}

// messagesOf returns the messages of a delivery as encoding/json finds them.
func messagesOf(t testing.TB, body []byte) (all []json.RawMessage) {
	t.Helper()
	var d struct {
		Entry []struct {
			Changes []struct {
				Value struct{ Messages []json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(body, &d); err != nil {
		t.Fatal(err)
	}
	for _, entry := range d.Entry {
		for _, change := range entry.Changes {
			all = append(all, change.Value.Messages...)
		}
	}
	return all
}

func addDeliveries(f *testing.F, platform string) {
	f.Helper()
	for _, file := range deliveries(f) {
		if file.folder == platform {
			f.Add(file.body)
		}
	}
}

// as returns the click with another kind.
func as(c simulate.Click, kind schema.Kind) simulate.Click {
	c.Kind = kind
	return c
}

// The decoders understand what package simulate makes, as the kind that it says.
func TestSimulated(t *testing.T) {
	ts := newTestServer(t, nil)
	c := simulate.Click{Account: "106540352242922", User: "16505551234", Title: "Größe", Payload: "plan:pro"}
	link := c
	link.Ref = "spring_sale"
	flow := c
	flow.Payload = `{"flow_token":"t","date":"2026-03-01"}`
	for name, test := range map[string]struct {
		path    string
		body    []byte
		kind    schema.Kind
		subject string
	}{
		"button":    {"whatsapp", simulate.WhatsApp(as(c, schema.KindButton)), schema.KindButton, "whatsapp.106540352242922.plan.pro"},
		"list":      {"whatsapp", simulate.WhatsApp(as(c, schema.KindList)), schema.KindList, "whatsapp.106540352242922.plan.pro"},
		"template":  {"whatsapp", simulate.WhatsApp(as(c, schema.KindTemplateButton)), schema.KindTemplateButton, "whatsapp.106540352242922.plan.pro"},
		"flow":      {"whatsapp", simulate.WhatsApp(as(flow, schema.KindFlow)), schema.KindFlow, "whatsapp.106540352242922.=form.flow"},
		"flow text": {"whatsapp", simulate.WhatsApp(as(c, schema.KindFlow)), schema.KindFlow, "whatsapp.106540352242922.=form.flow"},
		"ad":        {"whatsapp", simulate.WhatsApp(as(c, schema.KindReferral)), schema.KindReferral, "whatsapp.106540352242922.=referral._"},
		"callback":  {"telegram", simulate.Telegram(as(c, schema.KindInlineButton)), schema.KindInlineButton, "telegram.shop_bot.plan.pro"},
		"start":     {"telegram", simulate.Telegram(as(c, schema.KindButton)), schema.KindButton, "telegram.shop_bot.start._"},
		"deep link": {"telegram", simulate.Telegram(as(link, schema.KindReferral)), schema.KindReferral, "telegram.shop_bot.=referral.spring_sale"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ts.deliver(t, sample{folder: test.path, body: test.body})
			got := ts.pub.taken()
			if a.status != 200 || len(got) != 1 || got[0].Subject != "postback.v1."+test.subject {
				t.Fatalf("got %d %s %v", a.status, a.body, got)
			}
			checkMessage(t, got[0])
			var e schema.Event
			if err := json.Unmarshal(got[0].Data, &e); err != nil {
				t.Fatal(err)
			}
			if d := e.Data; d.Kind != test.kind || d.User.ID != c.User || d.User.Name != "Sheena Nelson" {
				t.Errorf("got %+v", d)
			}
			if !bytes.HasPrefix(test.body, []byte("{")) || bytes.Contains(test.body, []byte("ö")) {
				t.Errorf("not escaped as the platform does: %s", test.body)
			}
		})
	}
}

// Clicks of several people can be in one delivery.
func TestSimulatedWhatsAppBatch(t *testing.T) {
	b := &batch{receivedAt: testNow}
	decodeMeta(b, simulate.WhatsApp(simulate.Click{Account: "1", User: "44", Payload: "a"}, simulate.Click{Account: "1", User: "45", Payload: "b"},
		simulate.Click{Account: "1", User: "44", Payload: "c"}))
	if len(b.items) != 3 || b.items[1].Event.Data.User.ScopedID != "US.45" || b.items[2].Event.Data.User.Name == "" {
		t.Errorf("got %+v", b.items)
	}
}
