package ingest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// FuzzMetaDelivery: a signed body contains a JSON object, or becomes one dead letter.
// Every item becomes a message that can be published.
func FuzzMetaDelivery(f *testing.F) {
	for _, file := range deliveries(f) {
		f.Add(file.body)
	}
	for _, body := range []string{
		amongGood(`5`), amongGood(`{"postback":null}`), amongGood("{\"sender\":{\"id\":\"u\"},\"postback\":{\"title\":\"\xff\"}}"),
		amongGood(`{"sender":{"id":1e3},"timestamp":-1e400,"postback":{"mid":"\ud83d","mid":"x"}}`),
		amongGood(strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), strings.Repeat(`{"entry":[`, 6000),
		`[{"object":"page"},{"value":{},"field":"messaging_postbacks"},null]`, okPostback + okPostback, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := &batch{receivedAt: testNow, includeRaw: len(body)%2 == 0, storeOther: len(body)%3 == 0, isUTF8: utf8.Valid(body)}
		decodeMeta(b, bytes.Clone(body))
		if b.notJSON {
			checkRefused(t, b, body)
		}
		if utf8.Valid(body) && isDelivery(body) == b.notJSON {
			t.Errorf("encoding/json does not agree: %+v", b.items)
		}
		for i := range b.items {
			checkItem(t, &b.items[i])
		}
	})
}

// FuzzMessenger and FuzzInstagram change one item of a list. The good items next to it
// are always stored. If it says that it is an event, it is stored or becomes a dead
// letter.
func FuzzMessenger(f *testing.F) { fuzzItem(f, "page", schema.Messenger) }

func FuzzInstagram(f *testing.F) { fuzzItem(f, "instagram", schema.Instagram) }

func fuzzItem(f *testing.F, object, platform string) {
	for _, file := range deliveries(f) {
		envelopes, err := readEnvelopes(file.body)
		if err != nil || file.folder != platform {
			continue
		}
		for _, e := range envelopes {
			for _, item := range e.items {
				f.Add(item.body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, item []byte) {
		if !jsontext.Value(item).IsValid() {
			t.Skip("names that stand twice have no meaning that two readers agree on, and no JSON has no neighbours")
		}
		value, err := readAny(item)
		if err != nil {
			t.Skip(err) // deeper than encoding/json reads
		}
		for _, list := range []string{listMessaging, listStandby, listChanges} {
			var n neighbours
			entry := map[string]any{"id": "1", list: []any{value}}
			root := map[string]any{"object": object, "entry": []any{entry}}
			body, err := json.Marshal(n.among([]any{root}))
			if err != nil {
				t.Fatal(err)
			}
			b := &batch{receivedAt: testNow}
			decodeMeta(b, body)
			if want := int(n) + keptItems(root); len(b.items) != want {
				t.Errorf("%s: %d events and dead letters, want %d: %s", list, len(b.items), want, item)
			}
			for i := range b.items {
				checkItem(t, &b.items[i])
			}
		}
	})
}

func checkRefused(t *testing.T, b *batch, body []byte) {
	t.Helper()
	if len(b.items) != 1 || !bytes.Equal(b.items[0].Body, body) || b.items[0].Rejection.Reason != schema.ReasonNotJSON {
		t.Errorf("refused, and not kept: %+v", b.items)
	}
}

// isDelivery is the rule of readEnvelopes, written with encoding/json.
func isDelivery(body []byte) bool {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) == nil {
		return object != nil
	}
	var array []json.RawMessage
	if json.Unmarshal(body, &array) != nil {
		return false
	}
	for _, value := range array {
		if value[0] == '{' {
			return true
		}
	}
	return false
}

func checkItem(t *testing.T, item *schema.Item) {
	t.Helper()
	m, err := item.Message(schema.Subjects{Root: schema.DefaultRoot}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(m.Data) || !utf8.Valid(m.Data) {
		t.Errorf("not JSON: %q", m.Data)
	}
	if m.DeadLetter == "" {
		checkMessage(t, m)
	}
}
