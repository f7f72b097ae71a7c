package ingest

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/schema"
)

// asDeadLetter returns what would be stored if the item was a dead letter.
func asDeadLetter(t *testing.T, item schema.Item, platform string) *schema.DeadLetter {
	t.Helper()
	item.Event = nil
	if item.Rejection.Reason == "" {
		item.Rejection = schema.Rejection{Reason: schema.ReasonMalformed, Platform: platform, ReceivedAt: testNow}
	}
	m, err := item.Message(schema.Subjects{Root: "postback.v1"}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var d schema.DeadLetter
	if err := json.Unmarshal(m.Data, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// decodeAll decodes a delivery of testdata.
func decodeAll(s *Server, file sample, body []byte) []schema.Item {
	b := batch{receivedAt: testNow, includeRaw: s.cfg.IncludeRaw, storeOther: s.cfg.StoreOther, size: len(body), isUTF8: utf8.Valid(body)}
	hook := s.hookOf(file.folder)
	if hook.account != "" {
		b.account = testBot
	}
	hook.decode(&b, body)
	return b.items
}

// TestParseAgain makes a dead letter of every item in testdata. Parsed again it is the same
// message: subject, id and every field.
func TestParseAgain(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.IncludeRaw, c.StoreOther = true, true })
	events := 0
	for _, file := range deliveries(t) {
		for i, item := range decodeAll(ts.Server, file, file.body) {
			platform := item.Rejection.Platform
			if item.Event != nil {
				platform = item.Event.Data.Platform
			}
			again, err := ts.Server.ParseAgain(asDeadLetter(t, item, platform))
			if err != nil || len(again) != 1 {
				t.Errorf("%s: item %d: %d items, %v", file.name(), i, len(again), err)
				continue
			}
			checkSameItem(t, file.name(), item, again[0])
			if item.Event != nil {
				events++
			}
		}
	}
	if events < 100 {
		t.Errorf("only %d events were compared", events)
	}
}

func checkSameItem(t *testing.T, name string, first, again schema.Item) {
	t.Helper()
	want, err := first.Message(schema.Subjects{Root: "postback.v1"}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Message(schema.Subjects{Root: "postback.v1"}, 1<<20)
	if err != nil || got.Subject != want.Subject || got.ID != want.ID || string(got.Data) != string(want.Data) {
		t.Errorf("%s: got %s %s\n%s\nwant %s %s\n%s (%v)", name, got.Subject, got.ID, got.Data, want.Subject, want.ID, want.Data, err)
	}
}

// mutationsApart is how many changes there are between two that are tested: all of them
// take minutes with the race detector.
const mutationsApart = 7

// TestParseAgainMutations makes the items of changed deliveries dead letters, also of
// those that are malformed. Nothing becomes another event than before.
func TestParseAgainMutations(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.StoreOther = true })
	for _, file := range deliveries(t) {
		t.Run(file.name(), func(t *testing.T) {
			t.Parallel()
			root, err := readAny(file.body)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			mutate(root, "", func(changed any) { root = changed }, func(what string) {
				if n++; n%mutationsApart != 0 {
					return
				}
				body, err := json.Marshal(root)
				if err != nil {
					t.Fatal(err)
				}
				for _, item := range decodeAll(ts.Server, file, body) {
					platform := item.Rejection.Platform
					if item.Event != nil {
						platform = item.Event.Data.Platform
					}
					again, err := ts.Server.ParseAgain(asDeadLetter(t, item, platform))
					if err != nil || len(again) != 1 || (again[0].Event == nil) != (item.Event == nil) || item.Event != nil && again[0].Event.ID != item.Event.ID {
						t.Errorf("%s: %s: was %+v, again %+v, %v\n%s", what, item.Body, item.Event, again, err, body)
					}
				}
			})
		})
	}
}

// TestParseAgainNot: what cannot be parsed says why.
func TestParseAgainNot(t *testing.T) {
	ts := newTestServer(t, nil)
	for name, d := range map[string]schema.DeadLetter{
		"truncated":        {Platform: "meta", Truncated: true, Body: "{"},
		"another platform": {Platform: "pager", Body: "{}"},
		"without a bot":    {Platform: "telegram", Body: "{}"},
		"a wrong encoding": {Platform: "meta", Encoding: "base64", Body: "%"},
	} {
		if items, err := ts.Server.ParseAgain(&d); err == nil {
			t.Errorf("%s: %v", name, items)
		}
	}
	read := schema.DeadLetter{Platform: "messenger", Body: `{"object":"page","entry":[{"id":"1","messaging":[{"sender":{"id":"2"},"read":{"watermark":1}}]}]}`}
	if items, err := ts.Server.ParseAgain(&read); err != nil || len(items) > 0 {
		t.Errorf("an item that is not a click: %v, %v", items, err)
	}
}

// TestEnvelopeIsBounded: a dead letter does not become larger by a long name.
func TestEnvelopeIsBounded(t *testing.T) {
	long := string(slices.Repeat([]byte("x"), 10_000))
	for _, item := range []rawItem{
		{object: long, entryID: long, list: listMessaging},
		{object: "o", list: listChanges, change: &whatsappChange{field: lenientString(long), account: long, around: &rawItem{list: listChanges},
			contacts: make([]whatsappContact, 1), rawContacts: []byte(`["` + long + `"]`)}, member: "messages"},
	} {
		if e := item.Envelope(); len(e.Before)+len(e.After) > 4*maxEnvelopeName || e.Before == "" {
			t.Errorf("%d bytes: %.300s", len(e.Before)+len(e.After), e.Before)
		}
	}
}
