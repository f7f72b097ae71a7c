package ingest

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/schema"
)

// caseEvent is what a delivery has to give: a subject without its root, and fields of data.
type caseEvent struct {
	subject string
	data    string // JSON, in which null stands for a missing field
}

// Deliveries from public reports, each with what it has to give.
var cases = map[string][]caseEvent{
	"messenger/prior-message": {
		{"messenger.100000000000001.order.track", `{"user":{"id":"20000000000001","ref":"checkbox-ref-0001"},"prior_source":"checkbox_plugin"}`},
		{"messenger.100000000000001.confirm.yes", `{"user":{"id":"20000000000001","ref":"checkbox-ref-0001"},"prior_source":"checkbox_plugin","kind":"quick_reply"}`},
	},
	"messenger/referral-on-item": {
		{"messenger.100000000000001.start._", `{"referral":{"ref":"campaign-2026_x","source":"SHORTLINK","type":"OPEN_THREAD"}}`},
		{"messenger.100000000000001.=referral.http", `{"kind":"referral"}`},
	},
	"whatsapp/user-preferences": {
		{"whatsapp.400000000000001.=optin.stop", `{"kind":"optin","user":{"id":"15550100002","name":"Ana Example"},
			"referral":{"type":"STOP","extra":{"category":"marketing_messages","detail":"User requested to stop marketing messages"}}}`},
		{"whatsapp.400000000000001.=optin.resume", `{"kind":"optin",
			"referral":{"type":"RESUME","extra":{"category":"marketing_messages","detail":"User requested to resume marketing messages"}}}`},
	},
	"whatsapp/address-message": {
		{"whatsapp.400000000000001.=form.form", `{"kind":"form","form":"address_message","title":null,"payload":{
			"raw":"{\"values\":{\"in_pin_code\":\"110001\",\"address\":\"1 Example Road\",\"city\":\"Exampletown\",\"name\":\"Ana Example\",\"phone_number\":\"+15550100002\"}}",
			"params":{"values":{"in_pin_code":"110001","address":"1 Example Road","city":"Exampletown","name":"Ana Example","phone_number":"+15550100002"}}}}`},
		{"whatsapp.400000000000001.=form.form", `{"kind":"form","form":"address_message","payload":{"raw":"{\"saved_address_id\":\"address1\"}","params":{"saved_address_id":"address1"}}}`},
	},
	"whatsapp/template-button-no-context": {
		{"whatsapp.400000000000001.imap_pms_3_yes._", `{"kind":"template_button","reply_to":null,"user":{"id":"15550100002","scoped_id":"BE.0000000000000001","name":"Ana Example"}}`},
		{"whatsapp.400000000000001._._", `{"payload":null}`},
		{"whatsapp.400000000000001._._", `{"payload":null}`},
	},
	"whatsapp/referred-product": {
		{"whatsapp.400000000000001.=referral._", `{"kind":"referral","referral":{"extra":{"product":{"catalog_id":"CATALOG-ID","product_retailer_id":"SKU-1"}}}}`},
	},
	"whatsapp/flow-array-answer": {
		{"whatsapp.400000000000001.=form.flow", `{"kind":"flow","title":null,"payload":{"raw":"[\"Ana Example\",\"ana@example.com\"]","params":["Ana Example","ana@example.com"]}}`},
		{"whatsapp.400000000000001.=form.flow", `{"kind":"flow","payload":{"raw":"\"ana@example.com\"","params":"ana@example.com"}}`},
	},
	"whatsapp/call-button": {
		{"whatsapp.400000000000001.support.order-4471", `{"kind":"call_button","message_id":null,"user":{"id":"15550100002","scoped_id":"US.00000000000000000002","name":"Ana Example"}}`},
		{"whatsapp.400000000000001.=referral.spring_sale", `{"kind":"referral","referral":{"ref":"spring_sale"}}`},
	},
	"telegram/callback-business":    {{"telegram.shop_bot.book.now", `{"chat":{"id":"600000001","type":"private","business_connection_id":"bizconn-PLACEHOLDER"}}`}},
	"telegram/callback-forum-topic": {{"telegram.shop_bot.perm.allow", `{"chat":{"id":"-1000000000001","type":"supergroup","thread_id":"31"},"reply_to":"502"}`}},
	"telegram/callback-ephemeral":   {{"telegram.shop_bot.hide.me", `{"reply_to":null,"message_id":null,"ephemeral_message_id":"29341834"}`}},
	"telegram/web-app-data": {{"telegram.shop_bot.=form.web_app", `{"kind":"web_app","title":"Choose a seat","message_id":"503",
		"payload":{"raw":"{\"action\":\"seat:pick\",\"seat\":\"12A\"}","params":{"action":"seat:pick","seat":"12A"}}}`}},
	"telegram/start-ref-letters-digits": {{"telegram.shop_bot.=referral.bizChat", `{"referral":{"ref":"bizChat600000001"}}`}},
	"telegram/callback-rich-message": {{"telegram.shop_bot.plan.pro", `{"title":"Pro",
		"payload":{"raw":"plan:pro","prefix":"plan","action":"pro","on_keyboard":true}}`}},
}

func TestCases(t *testing.T) {
	ts := newTestServer(t, nil)
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			got := deliverFile(t, ts, name)
			if len(got) != len(want) {
				t.Fatalf("got %d messages, want %d", len(got), len(want))
			}
			for i, m := range got {
				if subject := strings.TrimPrefix(m.Subject, "postback.v1."); subject != want[i].subject {
					t.Errorf("got %s, want %s", subject, want[i].subject)
				}
				checkFields(t, m, want[i].data)
			}
		})
	}
}

// deliverFile posts a delivery of testdata and returns what was published.
func deliverFile(t *testing.T, ts *testServer, name string) []schema.Message {
	t.Helper()
	body, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	folder, file, _ := strings.Cut(name, "/")
	if a := ts.deliver(t, sample{folder, file, body}); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	return ts.pub.taken()
}

// checkFields compares the fields of data that want has.
func checkFields(t *testing.T, m schema.Message, want string) {
	t.Helper()
	checkMessage(t, m)
	var got struct{ Data map[string]any }
	var fields map[string]any
	if err := json.Unmarshal(m.Data, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		if !reflect.DeepEqual(got.Data[name], value) {
			t.Errorf("%s is %v, want %v", name, got.Data[name], value)
		}
	}
}

// The end of a call is told with the same payload and id as its start.
func TestCallIsOneClick(t *testing.T) {
	ts := newTestServer(t, nil)
	first := deliverFile(t, ts, "whatsapp/call-button")
	body, err := os.ReadFile("testdata/whatsapp/call-button.json")
	if err != nil {
		t.Fatal(err)
	}
	a := ts.post(t, []byte(strings.ReplaceAll(string(body), `"event":"connect"`, `"event":"terminate","status":"COMPLETED","duration":9`)), nil)
	if a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for i, m := range ts.pub.taken() {
		if m.ID != first[i].ID || m.ID != "whatsapp:400000000000001:wacid.CALL"+[]string{"1", "2"}[i] {
			t.Errorf("got %s, want %s", m.ID, first[i].ID)
		}
	}
}

// The signature is that of asMetaSigned, which was re-encoded on its way.
const (
	asMetaSigned  = `{"object":"page","entry":[{"id":"100000000000001","time":1770002500000,"messaging":[{"sender":{"id":"20000000000001"},"recipient":{"id":"100000000000001"},"timestamp":1770002500000,"postback":{"mid":"m_percent","title":"50\u0025 off \u0040home \u003C3","payload":"sale:50\u0025"}}]}]}`
	asItArrived   = `{"object":"page","entry":[{"id":"100000000000001","time":1770002500000,"messaging":[{"sender":{"id":"20000000000001"},"recipient":{"id":"100000000000001"},"timestamp":1770002500000,"postback":{"mid":"m_percent","title":"50% off @home <3","payload":"sale:50%"}}]}]}`
	metaSecret    = "PLACEHOLDER-SECRET-ONE"
	metaSignature = "sha256=a31440af7f578b02baef94f3e5aefd6aa55dbf082498c4c5257a5402da1a05e1"
)

func TestReencodedDelivery(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.MetaAppSecrets = []string{metaSecret} })
	signature := map[string]string{headerSignature: metaSignature}
	if a := ts.post(t, []byte(asItArrived), signature); a.status != 401 || !strings.Contains(ts.log.String(), `"reason":"reencoded_body"`) {
		t.Errorf("got %d, log: %s", a.status, ts.log)
	}
	if a := ts.post(t, []byte(asMetaSigned), signature); a.status != 200 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
