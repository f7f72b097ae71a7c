package ingest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/schema"
)

// FuzzTelegramUpdate: a body is a JSON object, or becomes one dead letter. The result can
// be published.
func FuzzTelegramUpdate(f *testing.F) {
	addDeliveries(f, schema.Telegram)
	for _, body := range []string{
		okUpdate, okUpdate + okUpdate, `{"callback_query":null}`, `{"message":{"text":"/start@\u0000 \ud83d","from":{"id":1}}}`,
		`{"message":{"text":"/start\u2028x","entities":[null,{"offset":0}],"from":{"id":-1e9}}}`, "\xef\xbb\xbf{}", `{"callback_query":{"data":"` + "\xff" + `"}}`,
		`{"callback_query":{"message":{"reply_markup":{"inline_keyboard":[null,[null]]}}}}`, strings.Repeat(`{"callback_query":`, 9000),
		`{"update_id":1,"message":{"from":{"id":1},"web_app_data":{"data":"{}"}}}`, `{"message":{"from":{"id":1},"successful_payment":{"invoice_payload":"a"}}}`,
		`{"update_id":1,"purchased_paid_media":{"from":{"id":1},"paid_media_payload":"a"}}`, `{"chosen_inline_result":{"from":{"id":1},"result_id":"a"}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := &batch{account: testBot, receivedAt: testNow, includeRaw: len(body)%2 == 0, storeOther: len(body)%3 == 0, isUTF8: utf8.Valid(body)}
		decodeTelegram(b, bytes.Clone(body))
		if b.notJSON {
			checkRefused(t, b, body)
		}
		if utf8.Valid(body) && isObject(body) == b.notJSON {
			t.Errorf("encoding/json does not agree: %+v", b.items)
		}
		if n := len(b.items) + b.ignored[schema.Telegram]; n != 1 {
			t.Errorf("an update became %d items", n)
		}
		for i := range b.items {
			checkItem(t, &b.items[i])
		}
	})
}

// isObject is the rule of checkObject, written with encoding/json.
func isObject(body []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(body, &object) == nil && object != nil
}
