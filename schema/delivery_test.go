package schema

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
)

func TestDeliverySubject(t *testing.T) {
	for _, test := range []struct{ account, want string }{
		{"123", "delivery.postback.v1.meta.123"},
		{"", "delivery.postback.v1.meta._"},
		{"a.b", "delivery.postback.v1.meta.a=2Eb"},
	} {
		if got := DeliverySubject(DefaultRoot, "meta", test.account); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// A delivery is stored and read again byte for byte, also if it must be compressed.
func TestDeliveryStored(t *testing.T) {
	for name, body := range map[string][]byte{
		"empty": {},
		"small": []byte("{\"object\":\"page\"}\r\n\x00\xff"),
		"large": []byte(`{"text":"` + strings.Repeat("many words ", 10_000) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			header := map[string][]string{"X-Hub-Signature": {"sha1=00"}, "Content-Encoding": {"br"}, "X-Hub-More": {"1", "2"}}
			item := Item{Delivery: &Delivery{Webhook: "meta", Account: "123", Header: header, Body: body}}
			m, err := item.Message(Subjects{Root: DefaultRoot}, 8192)
			if err != nil {
				t.Fatal(err)
			}
			if m.DeadLetter != "" || m.Size() > 8192 {
				t.Fatalf("dead letter %q of %d bytes", m.DeadLetter, m.Size())
			}
			got, err := DecodeDelivery(m.Header, m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Body, body) {
				t.Errorf("body of %d bytes, want the %d bytes that were received", len(got.Body), len(body))
			}
			if len(got.Header) != len(header) || got.Header["X-Hub-Signature"][0] != "sha1=00" || len(got.Header["X-Hub-More"]) != 2 {
				t.Errorf("header %v, want %v", got.Header, header)
			}
		})
	}
}

func TestDeliveryTooLarge(t *testing.T) {
	body := make([]byte, 20_000)
	_, _ = rand.Read(body)
	item := Item{Delivery: &Delivery{Webhook: "meta", Body: body}}
	m, err := item.Message(Subjects{Root: DefaultRoot}, 8192)
	if err != nil {
		t.Fatal(err)
	}
	if m.DeadLetter != ReasonTooLarge || m.Subject != "deadletter.postback.v1.meta.too_large" || m.Size() > 8192 {
		t.Errorf("dead letter %q of %d bytes on %s", m.DeadLetter, m.Size(), m.Subject)
	}
}

func TestDeliveryID(t *testing.T) {
	id := func(webhook, account, body string) string {
		return (&Delivery{Webhook: webhook, Account: account, Body: []byte(body)}).NatsMsgID()
	}
	ids := map[string]bool{}
	for _, d := range [][3]string{{"meta", "1", "{}"}, {"meta", "1", "{ }"}, {"telegram", "1", "{}"}, {"telegram", "2", "{}"}} {
		ids[id(d[0], d[1], d[2])] = true
	}
	if len(ids) != 4 {
		t.Errorf("%d different ids, want 4: %v", len(ids), ids)
	}
	if again := id("meta", "1", "{}"); !ids[again] {
		t.Errorf("a repeated delivery has another id: %s", again)
	}
}

func FuzzDecodeDelivery(f *testing.F) {
	f.Add([]byte("{}"), true)
	f.Add([]byte("{}"), false)
	f.Fuzz(func(t *testing.T, data []byte, compressed bool) {
		header := map[string][]string{"Platform-X-Hub-Signature": {"sha1=00"}}
		if compressed {
			header[storedEncodingHeader] = []string{encodingGzip}
		}
		if d, err := DecodeDelivery(header, data); err == nil && !compressed && !bytes.Equal(d.Body, data) {
			t.Errorf("body %q, want %q", d.Body, data)
		}
	})
}

// A dead letter of a delivery has what the bot needs, but not the secret token; a truncated
// one cannot be posted again, so it has nothing of it.
func TestDeliveryAsDeadLetter(t *testing.T) {
	d := &Delivery{Webhook: "telegram", Account: "shop_bot", Header: map[string][]string{SecretHeader: {"secret"}, "Content-Type": {"a/b"}}}
	for body, truncated := range map[string]bool{"{}": false, strings.Repeat("x", 10_000): true} {
		item := Item{Rejection: Rejection{Reason: ReasonNotForwarded, Platform: "telegram"}, Origin: d, Body: []byte(body)}
		m, err := item.Message(Subjects{Root: DefaultRoot}, 4096)
		if err != nil {
			t.Fatal(err)
		}
		var letter DeadLetter
		if err := json.Unmarshal(m.Data, &letter); err != nil {
			t.Fatal(err)
		}
		if letter.Truncated != truncated || (letter.Account == "shop_bot") == truncated || (len(letter.Header) == 1) == truncated || !letter.IsForwarded() {
			t.Errorf("%+v", letter)
		}
		if strings.Contains(string(m.Data), "secret") {
			t.Errorf("the secret token is in %s", m.Data)
		}
	}
	again := Delivery{Webhook: "meta", Again: "7"}
	if first := (&Delivery{Webhook: "meta"}); first.NatsMsgID() == again.NatsMsgID() {
		t.Error("the store would drop the delivery as a duplicate")
	}
}
