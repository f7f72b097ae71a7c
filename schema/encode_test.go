package schema

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// whole is an event with every field.
func whole() *Event {
	yes := true
	return &Event{
		SpecVersion: "1.0", ID: "m_1", Source: "/messenger/1", Type: TypeClick, Time: time.Unix(1, 2e6).UTC(),
		DataContentType: "application/json", DataSchema: "s", PartitionKey: "messenger:1:u",
		Data: Data{
			Platform: Messenger, Account: Account{"1"}, Kind: KindButton, Channel: ChannelPrimary,
			User:  User{ID: "u", Ref: "r", ScopedID: "s", ParentScopedID: "p", Name: "n", Username: "a", Locale: "de"},
			Title: "<Größe> & \"more\"\n", Description: "d", MessageID: "m_1", ReplyTo: "m_0",
			Previous: &User{ID: "o"}, What: "read", EphemeralMessageID: "e", PriorSource: "checkbox_plugin", Form: "address_message",
			Chat: &Chat{ID: "c", Type: "group", ThreadID: "31", BusinessConnectionID: "b"},
			Payload: &Payload{Raw: "a:b:c:d", Prefix: "a", Action: "b", Rest: []string{"c", "d"},
				Params: json.RawMessage(` { "x" : [ 1 ] } `), OnKeyboard: &yes},
			Referral: &Referral{Ref: "r", Source: "ADS", Type: "OPEN_THREAD", AdID: "7",
				Extra: map[string]json.RawMessage{"z": json.RawMessage("1"), "a\u2028": json.RawMessage(`"<"`), "nothing": nil}},
			ReceivedAt: time.Unix(3, 0).UTC(), Raw: json.RawMessage("{}"),
		},
	}
}

// TestWholeIsWhole keeps a new field from being forgotten in Encode.
func TestWholeIsWhole(t *testing.T) {
	for _, part := range []any{*whole(), whole().Data, whole().Data.User, *whole().Data.Chat, *whole().Data.Payload, *whole().Data.Referral} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s.%s is not set", v.Type(), v.Type().Field(i).Name)
			}
		}
	}
}

// checkEncode compares Encode with encoding/json.
func checkEncode(t *testing.T, e *Event) {
	t.Helper()
	want, wantErr := encode(e)
	got, err := e.Encode()
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error %v, encoding/json has %v", err, wantErr)
	}
	if err == nil && !bytes.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEncode(t *testing.T) {
	checkEncode(t, whole())
	checkEncode(t, &Event{})
	for change, edit := range map[string]func(*Event){
		"year 10000":       func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"another zone":     func(e *Event) { e.Data.ReceivedAt = e.Time.In(time.FixedZone("", 3600)) },
		"no JSON":          func(e *Event) { e.Data.Raw = json.RawMessage("{") },
		"empty JSON":       func(e *Event) { e.Data.Payload.Params = json.RawMessage{} },
		"no JSON in extra": func(e *Event) { e.Data.Referral.Extra["z"] = json.RawMessage("z") },
		"empty parts":      func(e *Event) { e.Data.Chat, e.Data.Payload, e.Data.Referral = &Chat{}, &Payload{}, &Referral{} },
	} {
		t.Run(change, func(t *testing.T) {
			e := whole()
			edit(e)
			checkEncode(t, e)
		})
	}
}

// FuzzEncode: every event is encoded as by encoding/json, byte for byte.
func FuzzEncode(f *testing.F) {
	f.Add("id", "Größe <b>\x00\u2028", "plan:pro", "ref", `{"a": [1, "\ud800"]}`, int64(1e18), uint8(255))
	f.Add("\xff", "\"\\/\b\f\n\r\t\x7f", "", "", ` `, int64(-1), uint8(0))
	f.Fuzz(func(t *testing.T, id, title, payload, ref, raw string, at int64, parts uint8) {
		has := func(bit int) bool { return parts>>bit&1 == 1 }
		e := &Event{ID: id, Source: title, PartitionKey: payload, Time: time.Unix(at/1e6, at%1e6).UTC()}
		e.Data = Data{Platform: ref, Account: Account{id}, User: User{ID: title, Ref: ref, Name: payload}, Kind: Kind(ref), Title: title, MessageID: id}
		if has(0) {
			e.Data.Raw = json.RawMessage(raw)
		}
		if has(1) {
			e.Data.Payload = &Payload{Raw: payload, Prefix: title, Action: ref, Rest: strings.Split(payload, ":")}
			if has(2) {
				e.Data.Payload.Params = json.RawMessage(raw)
			}
			if has(3) {
				yes := has(4)
				e.Data.Payload.OnKeyboard = &yes
			}
		}
		if has(5) {
			e.Data.Chat = &Chat{ID: id, Type: ref, ThreadID: title, BusinessConnectionID: payload}
			e.Data.Previous, e.Data.What, e.Data.Form = &User{ID: payload}, ref, title
			e.Data.EphemeralMessageID, e.Data.PriorSource = payload, id
		}
		if has(6) {
			e.Data.Referral = &Referral{Ref: ref, AdID: title}
			if has(7) {
				e.Data.Referral.Extra = map[string]json.RawMessage{payload: json.RawMessage(raw), title: nil}
			}
		}
		checkEncode(t, e)
	})
}
