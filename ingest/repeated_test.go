package ingest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// TestRepeatedMembers: as in nearly every JSON parser, the last of members with one name
// is used as a whole. Merged they would be a click that nobody made.
func TestRepeatedMembers(t *testing.T) {
	const (
		ends   = `"sender":{"id":"u"},"recipient":{"id":"1"}`
		first  = `{"mid":"m1","title":"one","payload":"one","referral":{"ref":"one","source":"one","odd":1}}`
		second = `{"mid":"m2","payload":"two"}`
	)
	for name, test := range map[string]struct{ repeated, once string }{
		"postback":       {amongGood(`{` + ends + `,"postback":` + first + `,"postback":` + second + `}`), amongGood(`{` + ends + `,"postback":` + second + `}`)},
		"other spelling": {amongGood(`{` + ends + `,"postback":` + first + `,"p\u006fstback":` + second + `}`), amongGood(`{` + ends + `,"postback":` + second + `}`)},
		"malformed first": {amongGood(`{` + ends + `,"postback":5,"postback":` + second + `}`),
			amongGood(`{` + ends + `,"postback":` + second + `}`)},
		"malformed last":  {amongGood(`{` + ends + `,"postback":` + second + `,"postback":5}`), amongGood(`{` + ends + `,"postback":5}`)},
		"null last":       {amongGood(`{` + ends + `,"postback":` + second + `,"postback":null}`), amongGood(`{` + ends + `,"postback":null}`)},
		"of three":        {amongGood(`{` + ends + `,"postback":` + first + `,"x":[{}, 1 ] , "postback":5 ,"postback" : ` + second + `}`), amongGood(`{` + ends + `,"postback":` + second + `}`)},
		"first and inner": {amongGood(`{"sender":{"id":"v"},` + ends + `,"postback":{"mid":"m1","mid":"m2","payload":"one","payload":"two"}}`), amongGood(`{` + ends + `,"postback":` + second + `}`)},
		"party":           {amongGood(`{"sender":{"user_ref":"r"},` + ends + `,"postback":` + second + `}`), amongGood(`{` + ends + `,"postback":` + second + `}`)},
		"id":              {amongGood(`{` + ends + `,"postback":{"mid":"m1","payload":"two","mid":null}}`), amongGood(`{` + ends + `,"postback":{"payload":"two"}}`)},
		"timestamp":       {amongGood(`{"timestamp":1770000001,"timestamp":null,` + ends + `,"postback":` + second + `}`), amongGood(`{` + ends + `,"postback":` + second + `}`)},
		"message": {amongGood(`{` + ends + `,"message":{"mid":"m1","text":"t","quick_reply":{"payload":"one"},"referral":{"ref":"r"}},"message":{"mid":"m2","quick_reply":{"payload":"two"}}}`),
			amongGood(`{` + ends + `,"message":{"mid":"m2","quick_reply":{"payload":"two"}}}`)},
		"echo":     {amongGood(`{` + ends + `,"message":{"is_echo":true},"message":{"mid":"m2","quick_reply":{"payload":"two"}}}`), amongGood(`{` + ends + `,"message":{"mid":"m2","quick_reply":{"payload":"two"}}}`)},
		"optin":    {amongGood(`{` + ends + `,"optin":{"title":"t","payload":"p","ref":"r","odd":1},"optin":{"type":"x"}}`), amongGood(`{` + ends + `,"optin":{"type":"x"}}`)},
		"referral": {amongGood(`{` + ends + `,"referral":{"ref":"r","source":"s","odd":1},"referral":{"type":"x"}}`), amongGood(`{` + ends + `,"referral":{"type":"x"}}`)},
		"extra":    {amongGood(`{` + ends + `,"referral":{"ref":"r","odd":{"a":1},"odd":{"b":2}}}`), amongGood(`{` + ends + `,"referral":{"ref":"r","odd":{"b":2}}}`)},
		"interactive": {amongMessages(`{"id":"w","from":"1","interactive":{"button_reply":{"id":"one","title":"t"}},"interactive":{"list_reply":{"id":"two"}}}`),
			amongMessages(`{"id":"w","from":"1","interactive":{"list_reply":{"id":"two"}}}`)},
		"reply": {amongMessages(`{"id":"w","from":"1","interactive":{"list_reply":{"id":"one","title":"t","description":"d"},"list_reply":{"id":"two"}}}`),
			amongMessages(`{"id":"w","from":"1","interactive":{"list_reply":{"id":"two"}}}`)},
		"context": {amongMessages(`{"id":"w","from":"1","context":{"id":"c"},"context":5,"interactive":{"list_reply":{"id":"two"}}}`),
			amongMessages(`{"id":"w","from":"1","context":5,"interactive":{"list_reply":{"id":"two"}}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, nil)
			ts.post(t, []byte(test.once), nil)
			want := ts.pub.taken()
			ts.post(t, []byte(test.repeated), nil)
			checkSameMessages(t, ts.pub.taken(), want)
		})
	}
}

// TestRepeatedEnvelopeMembers: the same around the items, except for lists, of which all
// items are read.
func TestRepeatedEnvelopeMembers(t *testing.T) {
	item := func(mid string) string {
		return `{"sender":{"id":"u"},"postback":{"mid":"` + mid + `","payload":"p"}}`
	}
	one := `{"object":"page","entry":[{"id":"1","messaging":[` + item("a") + `]}]}`
	both := `{"object":"page","entry":[{"id":"1","messaging":[` + item("a") + `,` + item("b") + `]}]}`
	for name, test := range map[string]struct{ repeated, once string }{
		"object":     {`{"object":"instagram",` + one[1:], one},
		"entry's id": {strings.Replace(one, `"id":"1"`, `"id":"9","id":"1"`, 1), one},
		"no id last": {strings.Replace(one, `"id":"1"`, `"id":"9","id":null`, 1), strings.Replace(one, `"id":"1"`, `"id":null`, 1)},
		"entry":      {`{"entry":[{"id":"1","messaging":[` + item("a") + `]}],` + strings.Replace(one, `"a"`, `"b"`, 1)[1:], both},
		"list":       {strings.Replace(one, `]}]}`, `],"messaging":[`+item("b")+`]}]}`, 1), both},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, nil)
			ts.post(t, []byte(test.once), nil)
			want := ts.pub.taken()
			ts.post(t, []byte(test.repeated), nil)
			checkSameMessages(t, ts.pub.taken(), want)
		})
	}
}

// TestRepeatedTelegramMembers is [TestRepeatedMembers] for updates.
func TestRepeatedTelegramMembers(t *testing.T) {
	const callback = `{"id":"c2","from":{"id":7},"data":"two"}`
	for name, test := range map[string]struct{ repeated, once string }{
		"callback": {`{"callback_query":{"id":"c1","from":{"id":8,"username":"x"},"message":{"message_id":1,"chat":{"id":5}},"data":"one"},"callback_query":` + callback + `}`,
			`{"callback_query":` + callback + `}`},
		"aside": {`{"callback_query":{"message":{"message_id":1,"chat":{"id":5}},"message":null,"id":"c2","from":{"id":7},"data":"two"}}`,
			`{"callback_query":` + callback + `}`},
		"game": {`{"callback_query":{"game_short_name":"g","game_short_name":1,"id":"c2","from":{"id":7},"data":"two"}}`,
			`{"callback_query":` + callback + `}`},
		"message": {`{"message":{"message_id":1,"date":1,"chat":{"id":5},"from":{"id":8,"username":"x"},"text":"/start a"},"message":{"from":{"id":7},"text":"/start"}}`,
			`{"message":{"from":{"id":7},"text":"/start"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, nil)
			ts.update(t, testBot, []byte(test.once), nil)
			want := ts.pub.taken()
			ts.update(t, testBot, []byte(test.repeated), nil)
			checkSameMessages(t, ts.pub.taken(), want)
		})
	}
}

// TestRepeatedWhatsAppMembers: the members of a change next to its messages are not
// merged either.
func TestRepeatedWhatsAppMembers(t *testing.T) {
	message := `"messages":[{"id":"w","from":"1","button":{"payload":"p"}}]`
	change := func(members string) string {
		return `{"object":"whatsapp_business_account","entry":[{"id":"b","changes":[{"field":"messages",` + members + `}]}]}`
	}
	once := change(`"value":{"metadata":{"phone_number_id":"2"},` + message + `}`)
	for name, repeated := range map[string]string{
		"value": change(`"value":{"metadata":{"phone_number_id":"1"},"contacts":[{"wa_id":"1","profile":{"name":"Ana"}}],"statuses":[{}],"messages":[{"id":"x"}]},` +
			`"value":{"metadata":{"phone_number_id":"2"},` + message + `}`),
		"metadata":                        change(`"value":{"metadata":{"phone_number_id":"1"},"metadata":{"phone_number_id":"2"},` + message + `}`),
		"contacts":                        change(`"value":{"contacts":[{"wa_id":"1","profile":{"name":"Ana"}}],"contacts":[],"metadata":{"phone_number_id":"2"},` + message + `}`),
		"metadata last wrong, then right": change(`"value":{"metadata":{"phone_number_id":"1"},"metadata":5,"metadata":{"phone_number_id":"2"},` + message + `}`),
		"field":                           strings.Replace(once, `"field":"messages"`, `"field":"calls","field":"messages"`, 1),
		"no field last":                   strings.Replace(once, `"field":"messages"`, `"field":"calls","field":null`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, nil)
			ts.post(t, []byte(once), nil)
			want := ts.pub.taken()
			ts.post(t, []byte(repeated), nil)
			checkSameMessages(t, ts.pub.taken(), want)
		})
	}
}

// checkSameMessages compares events, and dead letters without their bodies, which are the
// items as they were sent.
func checkSameMessages(t *testing.T, got, want []schema.Message) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d messages, expected %d: %s", len(got), len(want), got)
	}
	for i := range got {
		if g, w := withoutBody(t, got[i]), withoutBody(t, want[i]); g != w {
			t.Errorf("got %s\nwant %s", g, w)
		}
	}
}

func withoutBody(t *testing.T, m schema.Message) string {
	t.Helper()
	checkMessage(t, m)
	if m.DeadLetter == "" {
		return m.Subject + " " + m.ID + " " + string(m.Data)
	}
	var letter schema.DeadLetter
	if err := json.Unmarshal(m.Data, &letter); err != nil {
		t.Fatal(err)
	}
	return strings.Join([]string{m.Subject, letter.Detail}, " ")
}

// FuzzLastMembers: encoding/json, which uses the last of repeated members, reads the same
// from copy and original. In the copy no member is repeated.
func FuzzLastMembers(f *testing.F) {
	for _, body := range []string{`{"a":1,"a":2}`, `{"a":{"b":1,"b":[2]}, "a" : {"b":1,"b":[{"":1,"":2}]}}`, `[{"a":1},{"a":2}]`,
		`{"":1,"":2,"":3}`, `{"a":1,"b":2,"a":3,"b":4,"a":5}`, `{"a":"\"","\u0061":"}"}`, `{"a":1,"a":2`, okPostback, okUpdate} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		once, repeated := lastMembers(body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if !jsontext.Value(body).IsValid(lenient...) {
			return
		}
		if repeated == jsontext.Value(body).IsValid(strict...) {
			t.Fatalf("repeated: %t", repeated)
		}
		if !repeated {
			return
		}
		if !jsontext.Value(once).IsValid(strict...) || len(once) != len(body) {
			t.Fatalf("left: %s", once)
		}
		want, err := readAny(body)
		if err != nil {
			return // deeper than encoding/json reads
		}
		if got, err := readAny(once); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	})
}
