package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

var (
	clickTime  = time.Date(2018, 5, 27, 22, 23, 44, 0, time.UTC)
	receivedAt = time.Date(2018, 5, 27, 22, 23, 45, 120e6, time.UTC)
)

// compileSchema checks with the real validator that it is a valid 2020-12 and,
// with another $schema, a valid draft-07 document.
func compileSchema(t testing.TB, draft string) *jsonschema.Schema {
	t.Helper()
	text := bytes.Replace(JSONSchema, []byte("https://json-schema.org/draft/2020-12/schema"), []byte(draft), 1)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func sampleData() Data {
	p, _ := ParsePayload("plan:enterprise")
	return Data{
		Platform: Messenger, Account: Account{ID: "PAGE-ID"}, User: User{ID: "USER-ID"},
		Kind: KindButton, Channel: ChannelPrimary, Title: "TITLE-FOR-THE-CTA", MessageID: "m_MESSAGE-ID",
		Payload:    &p,
		Referral:   &Referral{Ref: "USER-DEFINED-REFERRAL-PARAM", Source: "SHORTLINK", Type: "OPEN_THREAD"},
		ReceivedAt: receivedAt,
	}
}

func mustNew(t testing.TB, id string, d Data) *Event {
	t.Helper()
	e, err := New(id, clickTime, d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEventEncode(t *testing.T) {
	const want = `{"specversion":"1.0","id":"m_MESSAGE-ID","source":"/messenger/PAGE-ID","type":"postback.click.v1",` +
		`"time":"2018-05-27T22:23:44Z","datacontenttype":"application/json",` +
		`"dataschema":"https://github.com/postback-gateway/gateway/schema/event.v1.schema.json",` +
		`"partitionkey":"messenger:PAGE-ID:USER-ID","data":{"platform":"messenger","account":{"id":"PAGE-ID"},` +
		`"user":{"id":"USER-ID"},"kind":"button","channel":"primary","title":"TITLE-FOR-THE-CTA","message_id":"m_MESSAGE-ID",` +
		`"payload":{"raw":"plan:enterprise","prefix":"plan","action":"enterprise"},` +
		`"referral":{"ref":"USER-DEFINED-REFERRAL-PARAM","source":"SHORTLINK","type":"OPEN_THREAD"},` +
		`"received_at":"2018-05-27T22:23:45.12Z"}}`
	e := mustNew(t, "m_MESSAGE-ID", sampleData())
	got, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if id := e.NatsMsgID(); id != "messenger:PAGE-ID:m_MESSAGE-ID" {
		t.Errorf("NatsMsgID = %q", id)
	}
}

func TestEventValidates(t *testing.T) {
	for _, draft := range []string{"https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"} {
		schema := compileSchema(t, draft)
		text, err := mustNew(t, "id", sampleData()).Encode()
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", draft, err)
		}
		delete(document.(map[string]any)["data"].(map[string]any), "user")
		if err := schema.Validate(document); err == nil {
			t.Errorf("%s: accepts an event without a user", draft)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		id   string
		edit func(*Data)
		want string
	}{
		{"no account", "id", func(d *Data) { d.Account.ID = "" }, "no account: expected the id of the page or account that was spoken to"},
		{"long account", "id", func(d *Data) { d.Account.ID = strings.Repeat("a", 129) }, "account of 129 bytes: expected at most 128"},
		{"account with line break", "id", func(d *Data) { d.Account.ID = "a\r\nb" }, `account "a\r\nb": expected no control characters and no white space at its ends`},
		{"no user", "id", func(d *Data) { d.User = User{Name: "Ana"} }, "no user: expected an id or a user_ref"},
		{"no id", "", func(*Data) {}, "no id"},
		{"long id", strings.Repeat("a", 256), func(*Data) {}, "id of 256 bytes: expected at most 255"},
		{"id with space at the end", "id ", func(*Data) {}, `id "id ": expected no control characters and no white space at its ends`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := sampleData()
			test.edit(&d)
			if _, err := New(test.id, clickTime, d); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestEventType(t *testing.T) {
	for kind, want := range map[Kind]string{
		KindButton: TypeClick, KindList: TypeClick, KindForm: TypeClick, KindReferral: TypeReferral, KindOptin: TypeOptin, KindIdentity: TypeIdentity,
	} {
		if got := eventType(&Data{Kind: kind}); got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
}

// The value was computed with sha256sum:
//
//	printf '["messenger","1","u<1>","1700000000000","button","a&b","é","m:1"]' | sha256sum
func TestDeriveID(t *testing.T) {
	i := Identity{
		Platform: Messenger, Account: "1", User: User{Ref: "u<1>"}, Timestamp: "1700000000000",
		Kind: KindButton, Payload: "a&b", Ref: "é", MessageID: "m:1",
	}
	if got, want := DeriveID(i), "72440297b419586ddb21ee5e46c16b48"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	same := i
	same.User.ID, same.User.Ref = "u<1>", "another"
	if DeriveID(i) != DeriveID(same) {
		t.Error("the user's id does not come before the ref")
	}
}

func TestConflicts(t *testing.T) {
	event := func(user User, payload *Payload) *Event {
		d := sampleData()
		d.User, d.Payload = user, payload
		return mustNew(t, "id", d)
	}
	one := event(User{ID: "u"}, &Payload{Raw: "plan"})
	for _, test := range []struct {
		other *Event
		want  bool
	}{
		{event(User{ID: "u", Ref: "r", Name: "Ana"}, &Payload{Raw: "plan", Prefix: "plan"}), false},
		{event(User{ID: "v"}, &Payload{Raw: "plan"}), true},
		{event(User{ID: "u"}, &Payload{Raw: "plan:pro"}), true},
		{event(User{ID: "u"}, nil), true},
	} {
		if one.Conflicts(test.other) != test.want || test.other.Conflicts(one) != test.want {
			t.Errorf("%+v: not %t", test.other.Data, test.want)
		}
	}
}

// TestNatsMsgID: events with different ids have different message ids, whatever
// characters the ids contain.
func TestNatsMsgID(t *testing.T) {
	for _, test := range []struct {
		account, id string
		channel     Channel
		want        string
	}{
		{"P", "m_1", ChannelPrimary, "messenger:P:m_1"},
		{"P", "Q:m1", ChannelPrimary, "messenger:P:Q%3Am1"},
		{"P:Q", "m1", ChannelPrimary, "messenger:P%3AQ:m1"},
		{"P", "Q%3Am1", ChannelPrimary, "messenger:P:Q%253Am1"},
		{"P", "zz:standby", ChannelStandby, "messenger:P:zz:standby"},
		{"P", "zz:standby", ChannelPrimary, "messenger:P:zz%3Astandby"},
		{"P", "a:b%:standby", ChannelStandby, "messenger:P:a%3Ab%25:standby"},
		{"P", "zz:standby:standby", ChannelStandby, "messenger:P:zz%3Astandby:standby"},
		{"P", "0123456789abcdef0123456789abcdef", ChannelStandby, "messenger:P:0123456789abcdef0123456789abcdef"},
	} {
		d := sampleData()
		d.Account.ID, d.Channel = test.account, test.channel
		if got := mustNew(t, test.id, d).NatsMsgID(); got != test.want {
			t.Errorf("%s %s on %s: got %s, want %s", test.account, test.id, test.channel, got, test.want)
		}
	}
}

// The value was computed with Python's json.dumps(…, ensure_ascii=False,
// separators=(",", ":")), which writes what JavaScript's JSON.stringify does.
func TestDeriveIDIsTheSameInOtherLanguages(t *testing.T) {
	i := Identity{
		Platform: Messenger, Account: "1", User: User{ID: "u"}, Timestamp: "1700000000000", Kind: KindButton,
		Payload: "\u2028\u2029\\u2028\"\x00\x1f\b\f\n\r\t\x7f\U0001F600/<&>", Ref: "ref",
	}
	if got, want := DeriveID(i), "f187fd4726b7bbf0ab90f80717b9b7b2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestForeign(t *testing.T) {
	for in, want := range map[string]string{
		`"\ud83d\ude00"`:        `"\ud83d\ude00"`,
		`"\uD83D"`:              `"\ufffd"`,
		`"\ude00\ud83d"`:        `"\ufffd\ufffd"`,
		`"\ud83d\ud83d\ude00"`:  `"\ufffd\ud83d\ude00"`,
		`"\\ud83d"`:             `"\\ud83d"`,
		`{"a":[1.50,"\u00e9"]}`: `{"a":[1.50,"\u00e9"]}`,
	} {
		got, err := SafeJSON([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("SafeJSON(%s) = %s, %v; want %s", in, got, err, want)
		}
	}
	deep := strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)
	if _, err := SafeJSON([]byte(deep)); !errors.Is(err, ErrDepth) {
		t.Errorf("got %v, want %v", err, ErrDepth)
	}
	if _, err := SafeJSON([]byte(`"` + deep + `"`)); err != nil {
		t.Errorf("brackets in a string: %v", err)
	}
}

// Go cannot decode a number beyond a float64 into an any, and in other languages it
// becomes Infinity.
func TestForeignNumbers(t *testing.T) {
	nines := strings.Repeat("9", 400)
	for in, accepted := range map[string]bool{
		`1e308`: true, `-1.7976931348623157e308`: true, `1e-400`: true, `0e999`: true, `9007199254740993`: true, nines[:308]: true,
		`"1e400"`: true, `"\\\"1e400"`: true, `{"1e400":1}`: true, `0.` + nines: true,
		`1e400`: false, `-1E+400`: false, `[1,{"a":1e309}]`: false, nines: false, `{"a":"\"","b":1.8e308}`: false,
	} {
		got, err := SafeJSON([]byte(in))
		if accepted != (err == nil) || !accepted && !errors.Is(err, ErrRange) {
			t.Errorf("SafeJSON(%.30s) = %s, %v", in, got, err)
		}
		var decoded any
		if err := json.Unmarshal([]byte(in), &decoded); accepted != (err == nil) {
			t.Errorf("encoding/json reads %.30s: %v", in, err)
		}
	}
}

func TestItemMessage(t *testing.T) {
	p, route := ParsePayload("plan:enterprise")
	d := sampleData()
	d.Payload = &p
	item := Item{Event: mustNew(t, "m_1", d), Route: route, Body: []byte(`{"the":"item"}`)}
	m, err := item.Message(Subjects{Root: DefaultRoot}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "postback.v1.messenger.PAGE-ID.plan.enterprise" || m.ID != "messenger:PAGE-ID:m_1" || m.ContentType != ContentType || m.DeadLetter != "" {
		t.Errorf("got %+v", m)
	}
	var e Event
	if err := json.Unmarshal(m.Data, &e); err != nil || e.ID != "m_1" {
		t.Errorf("got %+v, %v", e, err)
	}
}

// Every dead letter fits, and keeps as much of the body as there is room for.
func TestDeadLetterFits(t *testing.T) {
	const limit = 8 << 10
	for name, body := range map[string]string{
		"empty":   "",
		"small":   `{"x":1}`,
		"exact":   strings.Repeat("a", limit),
		"escapes": strings.Repeat("\x00\"\\", limit),
		"runes":   strings.Repeat("€", limit),
		"binary":  strings.Repeat("\xff\xfe", limit),
	} {
		t.Run(name, func(t *testing.T) {
			item := Item{Body: []byte(body), Rejection: Rejection{Reason: ReasonNotJSON, Detail: "why", Platform: UnknownPlatform, ReceivedAt: receivedAt}}
			m, err := item.Message(Subjects{Root: DefaultRoot}, limit)
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject != "deadletter.postback.v1.meta.not_json" || m.DeadLetter != ReasonNotJSON {
				t.Errorf("got %+v", m)
			}
			if m.Size() > limit || len(body) > limit && m.Size() < limit*9/10 {
				t.Errorf("takes %d of %d bytes", m.Size(), limit)
			}
			checkDeadLetter(t, m.Data, body)
		})
	}
}

func checkDeadLetter(t *testing.T, data []byte, body string) {
	t.Helper()
	var d DeadLetter
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	kept, err := d.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(body, string(kept)) {
		t.Errorf("keeps %.40q, which is no beginning of %.40q", kept, body)
	}
	if d.Length != len(body) || d.Truncated != (len(kept) < len(body)) || len(d.SHA256) != 64 {
		t.Errorf("got length %d, truncated %t, sha256 %q", d.Length, d.Truncated, d.SHA256)
	}
}

func TestTooLargeEventBecomesDeadLetter(t *testing.T) {
	d := sampleData()
	d.Title = strings.Repeat("x", 4096)
	item := Item{Event: mustNew(t, "m_1", d), Route: noRoute, Body: []byte(`{"the":"item"}`)}
	m, err := item.Message(Subjects{Root: DefaultRoot}, 4096)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "deadletter.postback.v1.messenger.too_large" || m.DeadLetter != ReasonTooLarge {
		t.Errorf("got %+v", m)
	}
	checkDeadLetter(t, m.Data, `{"the":"item"}`)
}

// Fields that only some platforms send are left out if they are not sent, and have the
// right type if they are.
func TestOptionalFields(t *testing.T) {
	schema := compileSchema(t, "https://json-schema.org/draft/2020-12/schema")
	d := sampleData()
	d.Payload.OnKeyboard = new(false)
	d.User.ScopedID, d.User.ParentScopedID = "US.1", "US.ENT.1"
	d.Description, d.ReplyTo, d.Chat = "Next day", "wamid.1", &Chat{ID: "-100", Type: "group"}
	text, err := mustNew(t, "id", d).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct{ from, to string }{
		{"", ""}, // accepted
		{`"on_keyboard":false`, `"on_keyboard":"no"`},
		{`"scoped_id":"US.1"`, `"scoped_id":1`},
		{`"parent_scoped_id":"US.ENT.1"`, `"parent_scoped_id":""`},
		{`"description":"Next day"`, `"description":{}`},
		{`"reply_to":"wamid.1"`, `"reply_to":""`},
		{`"chat":{"id":"-100","type":"group"}`, `"chat":{"type":"group"}`},
		{`"chat":{"id":"-100","type":"group"}`, `"chat":{"id":-100}`},
	} {
		if !bytes.Contains(text, []byte(change.from)) {
			t.Fatalf("no %s in %s", change.from, text)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(bytes.Replace(text, []byte(change.from), []byte(change.to), 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); (err == nil) != (change.from == "") {
			t.Errorf("%s instead of %s: %v", change.to, change.from, err)
		}
	}
}

// TestTinyLimit: a limit in which nothing fits is not met, and nothing else.
func TestTinyLimit(t *testing.T) {
	item := Item{Rejection: Rejection{Reason: ReasonNotJSON, Platform: UnknownPlatform}, Body: []byte("x")}
	for _, limit := range []int{-1, 0, 5, 100, 400} {
		m, err := item.Message(Subjects{Root: DefaultRoot}, limit)
		var d DeadLetter
		if err != nil || json.Unmarshal(m.Data, &d) != nil || d.Length != 1 {
			t.Errorf("limit %d: %v, %s", limit, err, m.Data)
		}
	}
}
