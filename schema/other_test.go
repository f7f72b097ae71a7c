package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOtherSubject(t *testing.T) {
	for _, test := range []struct{ account, what, want string }{
		{"123", "read", "other.postback.v1.messenger.123.read"},
		{"a.b", "status_delivered", "other.postback.v1.messenger.a=2Eb.status_delivered"},
		{"", "feed", "other.postback.v1.messenger._.feed"},
		{"123", "a field", "other.postback.v1.messenger.123.a=20field"},
		{"123", "12345", "other.postback.v1.messenger.123.=id"},
		{"123", strings.Repeat("x", 49), "other.postback.v1.messenger.123.=long"},
	} {
		if got := OtherSubject(DefaultRoot, Messenger, test.account, test.what); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// An item that is not a click need not name an account or a person.
func TestOtherEvent(t *testing.T) {
	raw := json.RawMessage(`{"field":"feed"}`)
	e, err := New("id", clickTime, Data{Platform: UnknownPlatform, What: "feed", Channel: ChannelPrimary, ReceivedAt: clickTime, Raw: raw})
	if err != nil {
		t.Fatal(err)
	}
	item := Item{Event: e}
	m, err := item.Message(Subjects{Root: DefaultRoot}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "other.postback.v1.meta._.feed" || m.ID != "meta::id" || e.Type != TypeOther || e.Source != "/meta/_" {
		t.Errorf("got %+v", m)
	}
	for _, absent := range []string{`"account"`, `"user"`, `"kind"`} {
		if strings.Contains(string(m.Data), absent) {
			t.Errorf("%s in %s", absent, m.Data)
		}
	}
	short, err := m.Shrink(DefaultRoot, m.Size()-1)
	if err != nil || short.DeadLetter != ReasonTooLarge || short.Subject != "deadletter.postback.v1.meta.too_large" {
		t.Errorf("got %+v, %v", short, err)
	}
	for name, d := range map[string]Data{
		"a long account": {Platform: Messenger, What: "feed", Account: Account{ID: strings.Repeat("a", MaxAccount+1)}},
		"a click":        {Platform: Messenger, Kind: KindButton},
	} {
		if _, err := New("id", clickTime, d); err == nil {
			t.Errorf("%s without an account or a person is accepted", name)
		}
	}
}

// Nothing that a person entered shows in the subject.
func TestParseForm(t *testing.T) {
	for raw, params := range map[string]string{
		`{"action":"book","email":"ana@example.com"}`: `{"action":"book","email":"ana@example.com"}`,
		`["Ana Example"]`: `["Ana Example"]`,
		`"Ana"`:           `"Ana"`,
		`41`:              `41`,
		`plan:pro`:        ``,
		`{"cut":`:         ``,
		``:                ``,
	} {
		p, route := ParseForm(KindFlow, raw)
		if want := (Route{"=form", "flow"}); route != want || p.Raw != raw || string(p.Params) != params || p.Prefix != "" || p.Action != "" {
			t.Errorf("%s: got %+v, %v", raw, p, route)
		}
	}
}

func TestRouteOfOptOuts(t *testing.T) {
	for _, test := range []struct {
		referral *Referral
		want     Route
	}{
		{nil, Route{"=optin", "_"}},
		{&Referral{Ref: "shop", Type: "notification_messages"}, Route{"=optin", "shop"}},
		{&Referral{Ref: "shop", Type: OptinStop}, Route{"=optin", "stop"}},
		{&Referral{Type: OptinResume}, Route{"=optin", "resume"}},
		{&Referral{Type: OptinCallPermission}, Route{"=optin", "_"}},
	} {
		if got := RouteOptin(test.referral); got != test.want {
			t.Errorf("%+v: got %v, want %v", test.referral, got, test.want)
		}
	}
	if got := RouteIdentity(); got != (Route{"=identity", "_"}) {
		t.Errorf("got %v", got)
	}
}
