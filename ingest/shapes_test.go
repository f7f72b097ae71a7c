package ingest

import (
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/schema"
)

// shapes are deliveries as the platforms' documents describe them, each with what it has
// to give.
var shapes = map[string]struct {
	folder, body string
	want         caseEvent
}{
	// WhatsApp
	"new number": {"whatsapp", whatsappDelivery(`"messages":[{"from":"44","id":"w1","timestamp":"1770000000","type":"system","system":{
		"body":"User A changed from 44 to 45","type":"user_changed_number","wa_id":"45","user_id":"US.2","previous_user_id":"US.1","parent_user_id":"US.ENT.2","previous_parent_user_id":"US.ENT.1"}}]`),
		caseEvent{"whatsapp.1.=identity._", `{"kind":"identity","user":{"id":"45","scoped_id":"US.2","parent_scoped_id":"US.ENT.2"},"previous":{"id":"44","scoped_id":"US.1","parent_scoped_id":"US.ENT.1"}}`}},
	"new scoped id": {"whatsapp", whatsappDelivery(`"messages":[{"from_user_id":"US.1","id":"w1","type":"system","system":{"type":"user_changed_user_id","user_id":"US.2","previous_user_id":"US.1"}}]`),
		caseEvent{"whatsapp.1.=identity._", `{"user":{"id":"US.2","scoped_id":"US.2"},"previous":{"id":"US.1","scoped_id":"US.1"},"referral":null}`}},
	"new number of an older version": {"whatsapp", whatsappDelivery(`"messages":[{"from":"44","id":"w1","type":"system","system":{"type":"customer_changed_number","new_wa_id":"45"}}]`),
		caseEvent{"whatsapp.1.=identity._", `{"user":{"id":"45"},"previous":{"id":"44"}}`}},
	"group": {"whatsapp", whatsappDelivery(`"messages":[{"from":"44","group_id":"G1","id":"w1","type":"button","button":{"payload":"a"}}]`),
		caseEvent{"whatsapp.1.a._", `{"chat":{"id":"G1","type":"group"}}`}},
	"scoped id in from": {"whatsapp", whatsappDelivery(`"messages":[{"from":"US.13491208655302741918","id":"w1","type":"button","button":{"payload":"a"}}]`),
		caseEvent{"whatsapp.1.a._", `{"user":{"id":"US.13491208655302741918","scoped_id":"US.13491208655302741918"}}`}},
	"scoped ids in from and wa_id": {"whatsapp", whatsappDelivery(`"contacts":[{"wa_id":"US.1","parent_user_id":"US.ENT.1"}],"messages":[{"from":"US.ENT.1","id":"w1","type":"button","button":{"payload":"a"}}]`),
		caseEvent{"whatsapp.1.a._", `{"user":{"id":"US.1","scoped_id":"US.1","parent_scoped_id":"US.ENT.1"}}`}},
	"permission to call": {"whatsapp", whatsappDelivery(`"messages":[{"context":{"id":"w0"},"from":"44","id":"w1","type":"interactive","interactive":{"type":"call_permission_reply",
		"call_permission_reply":{"response":"accept","is_permanent":false,"expiration_timestamp":1770000000,"response_source":"user_action"}}}]`),
		caseEvent{"whatsapp.1.=optin._", `{"kind":"optin","reply_to":"w0","referral":{"type":"CALL_PERMISSION","extra":{"response":"accept","is_permanent":false,"expiration_timestamp":1770000000,"response_source":"user_action"}}}`}},
	"button about a product": {"whatsapp", whatsappDelivery(`"messages":[{"context":{"id":"w0","referred_product":{"catalog_id":"c"}},"from":"44","id":"w1","type":"button","button":{"payload":"a"}}]`),
		caseEvent{"whatsapp.1.a._", `{"kind":"template_button","reply_to":"w0","referral":{"extra":{"product":{"catalog_id":"c"}}}}`}},
	"product and ad": {"whatsapp", whatsappDelivery(`"messages":[{"context":{"referred_product":{"catalog_id":"c"}},"referral":{"source_type":"ad","source_id":"9"},"from":"44","id":"w1","type":"text"}]`),
		caseEvent{"whatsapp.1.=referral._", `{"referral":{"source":"ad","ad_id":"9","extra":{"product":{"catalog_id":"c"}}}}`}},
	"interactive of another type about a product": {"whatsapp", whatsappDelivery(`"messages":[{"context":{"referred_product":{"catalog_id":"c"}},"from":"44","id":"w1","type":"interactive","interactive":{"type":"product"}}]`),
		caseEvent{"whatsapp.1.=referral._", `{}`}},
	"preference of a scoped id": {"whatsapp", strings.Replace(whatsappDelivery(`"user_preferences":[{"user_id":"US.1","value":"signup","category":"marketing_messages","timestamp":1770000000}]`), `"messages"`, `"user_preferences"`, 1),
		caseEvent{"whatsapp.1.=optin._", `{"user":{"id":"US.1","scoped_id":"US.1"},"referral":{"type":"SIGNUP","extra":{"category":"marketing_messages"}}}`}},
	"preference, odd": {"whatsapp", strings.Replace(whatsappDelivery(`"user_preferences":[{"wa_id":"44","value":5,"detail":null}]`), `"messages"`, `"user_preferences"`, 1),
		caseEvent{"whatsapp.1.=optin._", `{"referral":{}}`}},
	"call button, hidden number": {"whatsapp", callsBody(`{"id":"wacid.1","from_user_id":"US.1","event":"terminate","timestamp":"1770000000","cta_payload":"support","deeplink_payload":"sale"}`),
		caseEvent{"whatsapp.1.support._", `{"kind":"call_button","user":{"id":"US.1","scoped_id":"US.1"},"referral":{"ref":"sale"}}`}},

	// Telegram
	"payment": {"telegram", `{"update_id":5,"message":{"message_id":3,"date":1770000000,"from":{"id":7,"first_name":"Ana"},"chat":{"id":7,"type":"private"},
		"successful_payment":{"currency":"XTR","total_amount":5,"invoice_payload":"order:17","telegram_payment_charge_id":"t"}}}`,
		caseEvent{"telegram.shop_bot.order.17", `{"kind":"payment","message_id":"3","payload":{"raw":"order:17","prefix":"order","action":"17"}}`}},
	"paid media": {"telegram", `{"update_id":5,"purchased_paid_media":{"from":{"id":7},"paid_media_payload":"album:1"}}`,
		caseEvent{"telegram.shop_bot.album.1", `{"kind":"paid_media","chat":null}`}},
	"inline result": {"telegram", `{"update_id":5,"chosen_inline_result":{"result_id":"shoe:red","from":{"id":7},"query":"what a person typed","inline_message_id":"inl"}}`,
		caseEvent{"telegram.shop_bot.shoe.red", `{"kind":"inline_result","reply_to":"inl"}`}},
	"mini app, not JSON": {"telegram", `{"update_id":5,"message":{"message_id":3,"date":1,"from":{"id":7},"chat":{"id":7},"web_app_data":{"data":"seat:12A","button_text":5}}}`,
		caseEvent{"telegram.shop_bot.seat.12A", `{"kind":"web_app","title":null}`}},
	"mini app, a number": {"telegram", `{"update_id":5,"message":{"message_id":3,"date":1,"from":{"id":7},"chat":{"id":7},"web_app_data":{"data":"41"}}}`,
		caseEvent{"telegram.shop_bot.=form.web_app", `{"payload":{"raw":"41","params":41}}`}},
	"anonymous administrator": {"telegram", `{"update_id":5,"message":{"message_id":3,"date":1,"from":{"id":1087968824,"username":"GroupAnonymousBot"},"sender_chat":{"id":-1001,"type":"supergroup","title":"Group","username":"grp"},
		"chat":{"id":-1001,"type":"supergroup"},"text":"/start@shop_bot"}}`,
		caseEvent{"telegram.shop_bot.start._", `{"user":{"id":"-1001","name":"Group","username":"grp"}}`}},
	"ephemeral command": {"telegram", `{"update_id":5,"message":{"message_id":0,"ephemeral_message_id":9,"date":1,"from":{"id":7},"chat":{"id":-1},"text":"/start"}}`,
		caseEvent{"telegram.shop_bot.start._", `{"message_id":null,"ephemeral_message_id":"9"}`}},
	"thread that is not a topic": {"telegram", telegramCallbackBody(`"message_id":3,"message_thread_id":2,"chat":{"id":-1}`, "a"),
		caseEvent{"telegram.shop_bot.a._", `{"chat":{"id":"-1"}}`}},
	"message of the bot's own with an inline id": {"telegram", strings.Replace(telegramCallbackBody(`"message_id":3,"chat":{"id":-1}`, "a"), `"data"`, `"inline_message_id":"inl","data"`, 1),
		caseEvent{"telegram.shop_bot.a._", `{"reply_to":"3","chat":{"id":"-1"}}`}},
	"odd additional fields": {"telegram", telegramCallbackBody(`"message_id":3,"message_thread_id":{},"is_topic_message":"yes","business_connection_id":[],"ephemeral_message_id":1.5,"chat":{"id":-1,"title":5},"rich_message":"x"`, "a"),
		caseEvent{"telegram.shop_bot.a._", `{"chat":{"id":"-1"},"payload":{"raw":"a","prefix":"a"}}`}},

	// Messenger, Instagram
	"permission to call on Messenger": {"messenger", messagingBody("page", `"call_permission_reply":{"response":"approve","expiration_timestamp":"1671644824"}`),
		caseEvent{"messenger.1.=optin._", `{"kind":"optin","referral":{"type":"CALL_PERMISSION","extra":{"response":"approve","expiration_timestamp":"1671644824"}}}`}},
	"permission to call in place of an entry": {"messenger", `{"object":"page","entry":[{"sender":{"id":"u"},"recipient":{"id":"1"},"timestamp":1671644824,"call_permission_reply":{"response":"reject"}}]}`,
		caseEvent{"messenger.1.=optin._", `{"user":{"id":"u"},"referral":{"type":"CALL_PERMISSION","extra":{"response":"reject"}}}`}},
	"change in place of an entry": {"instagram", `{"object":"instagram","entry":[{"id":"1","time":1,"field":"messaging_postbacks","value":{"sender":{"id":"u"},"recipient":{"id":"1"},"postback":{"mid":"m","payload":"a"}}}]}`,
		caseEvent{"instagram.1.a._", `{"channel":"primary"}`}},
	"renewed opt-in": {"messenger", messagingBody("page", `"optin":{"type":"notification_messages","payload":"news","notification_messages_status":"RESUME_NOTIFICATIONS"}`),
		caseEvent{"messenger.1.=optin.resume", `{"payload":{"raw":"news","prefix":"news"},"referral":{"type":"RESUME","extra":{"type":"notification_messages","notification_messages_status":"RESUME_NOTIFICATIONS"}}}`}},
	"opt-in": {"messenger", messagingBody("page", `"optin":{"type":"notification_messages","payload":"news","notification_messages_status":5}`),
		caseEvent{"messenger.1.news._", `{"referral":{"type":"notification_messages","extra":{"notification_messages_status":5}}}`}},
	"odd prior message": {"messenger", messagingBody("page", `"prior_message":5,"postback":{"mid":"m","payload":"a"}`),
		caseEvent{"messenger.1.a._", `{"user":{"id":"u"},"prior_source":null}`}},
	"customer matching": {"messenger", messagingBody("page", `"prior_message":{"source":"customer_matching","identifier":"+1(650)555-0100"},"postback":{"mid":"m","payload":"a"}`),
		caseEvent{"messenger.1.a._", `{"user":{"id":"u","ref":"+1(650)555-0100"},"prior_source":"customer_matching"}`}},
}

func telegramCallbackBody(message, data string) string {
	return `{"update_id":5,"callback_query":{"id":"c","from":{"id":7},"message":{` + message + `},"data":"` + data + `"}}`
}

func TestShapes(t *testing.T) {
	ts := newTestServer(t, nil)
	for name, test := range shapes {
		t.Run(name, func(t *testing.T) {
			a := ts.deliver(t, sample{folder: test.folder, body: []byte(test.body)})
			got := ts.pub.taken()
			if a.status != 200 || len(got) != 1 || got[0].DeadLetter != "" {
				t.Fatalf("got %d %s %v", a.status, a.body, got)
			}
			if subject := strings.TrimPrefix(got[0].Subject, "postback.v1."); subject != test.want.subject {
				t.Errorf("got %s, want %s", subject, test.want.subject)
			}
			checkFields(t, got[0], test.want.data)
		})
	}
}

// What has no id and no time of its own has that of its update: who buys the same twice has
// bought it twice.
func TestUpdatesWithoutAnID(t *testing.T) {
	ts := newTestServer(t, nil)
	for update, want := range map[string]string{
		`"update_id":5,`: "telegram:shop_bot:5%3Apurchased_paid_media",
		`"update_id":6,`: "telegram:shop_bot:6%3Apurchased_paid_media",
		``:               "telegram:shop_bot:" + schema.DeriveID(schema.Identity{Platform: schema.Telegram, Account: testBot, User: schema.User{ID: "7"}, Kind: schema.KindPaidMedia, Payload: "a"}),
	} {
		ts.deliver(t, sample{folder: schema.Telegram, body: []byte(`{` + update + `"purchased_paid_media":{"from":{"id":7},"paid_media_payload":"a"}}`)})
		if got := ts.pub.taken(); len(got) != 1 || got[0].ID != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

// A button is found at any depth of a rich message, and its text is any rich text.
func TestRichButtons(t *testing.T) {
	deep := strings.Repeat(`{"type":"details","blocks":[`, 200) + `{"type":"buttons","buttons":[{"text":"Deep","callback_data":"a"}]}` + strings.Repeat(`]}`, 200)
	for name, test := range map[string]struct {
		message, title string
		found          bool
	}{
		"block":          {`{"blocks":[{"type":"buttons","buttons":[{"text":"Pro","callback_data":"a"}]}]}`, "Pro", true},
		"in a text":      {`{"blocks":[{"type":"paragraph","text":["Take ",{"type":"bold","text":{"type":"button","button":{"text":"Pro","callback_data":"a"}}}]}]}`, "Pro", true},
		"in a table":     {`{"blocks":[{"type":"table","cells":[[{"text":{"type":"button","button":{"callback_data":"a","text":"Pro"}}}]]}]}`, "Pro", true},
		"rich title":     {`{"blocks":[{"buttons":[{"text":["Pro ",{"type":"custom_emoji","alternative_text":"*"},{"type":"bold","text":"!"}],"callback_data":"a"}]}]}`, "Pro *!", true},
		"deep":           {`{"blocks":[` + deep + `]}`, "Deep", true},
		"no title":       {`{"blocks":[{"buttons":[{"callback_data":"a"}]}]}`, "", true},
		"the first":      {`{"blocks":[{"buttons":[{"text":"1","callback_data":"a"},{"text":"2","callback_data":"a"}]}]}`, "1", true},
		"other data":     {`{"blocks":[{"buttons":[{"text":"1","callback_data":"b"},{"text":"a"}]}]}`, "", false},
		"odd data":       {`{"blocks":[{"buttons":[{"text":"1","callback_data":["a"]}]}]}`, "", false},
		"empty":          {`{}`, "", false},
		"data of a text": {`{"blocks":[{"type":"paragraph","text":"a"}]}`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if title, found := findRichButton([]byte(test.message), "a"); title != test.title || found != test.found {
				t.Errorf("got %q, %v", title, found)
			}
		})
	}
}

// FuzzRichButtons: a search never fails, and finds only what is there.
func FuzzRichButtons(f *testing.F) {
	f.Add([]byte(`{"blocks":[{"type":"buttons","buttons":[{"text":"Pro","callback_data":"a"}]}]}`), "a")
	f.Add([]byte(`{"text":["a",{"callback_data":"b","text":{"text":[[]]}}]}`), "b")
	f.Add([]byte(`{"text":`), "")
	f.Fuzz(func(t *testing.T, message []byte, data string) {
		title, found := findRichButton(message, data)
		if found && (data == "" || !strings.Contains(string(message), `"callback_data"`) && !strings.Contains(string(message), `\u`)) {
			t.Errorf("found %q in %q", data, message)
		}
		if !found && title != "" {
			t.Errorf("a title without a button: %q", title)
		}
	})
}
