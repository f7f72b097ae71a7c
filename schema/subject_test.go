package schema

import (
	"slices"
	"strings"
	"testing"
)

// The partitions are those of the 32-bit FNV-1a hash, as other programs compute it.
func TestSubjectsOf(t *testing.T) {
	for _, test := range []struct {
		key        string
		partitions int
		want       string
	}{
		{"messenger:682498171943165:1254459154682919", 0, "postback.v1.messenger.1.plan.pro"},
		{"messenger:682498171943165:1254459154682919", 1, "postback.v1.messenger.1.plan.pro.p0"},
		{"messenger:682498171943165:1254459154682919", 3, "postback.v1.messenger.1.plan.pro.p1"},
		{"telegram:shop_bot:7001", 16, "postback.v1.messenger.1.plan.pro.p8"},
		{"whatsapp:1:Zoë", 64, "postback.v1.messenger.1.plan.pro.p25"},
	} {
		e := click("plan:pro")
		e.PartitionKey = test.key
		got := Subjects{DefaultRoot, test.partitions}.Of(e, Route{"plan", "pro"})
		if got != test.want {
			t.Errorf("%s of %d: %s, want %s", test.key, test.partitions, got, test.want)
		}
		tokens, ok := ParseSubject(DefaultRoot, got)
		if want := (Tokens{Messenger, "1", "plan", "pro", tokens.Partition}); !ok || tokens != want || tokens.join(DefaultRoot) != got {
			t.Errorf("%s: parsed as %+v, %v", got, tokens, ok)
		}
	}
}

// Only events have partitions: what consumers of events do not read keeps its subject.
func TestOnlyEventsHavePartitions(t *testing.T) {
	s := Subjects{DefaultRoot, 3}
	event := func(what string) *Event {
		e := click("plan:pro")
		e.Data.What, e.PartitionKey = what, "telegram:shop_bot:7001"
		return e
	}
	route := Route{"plan", "pro"}
	for want, item := range map[string]Item{
		"postback.v1.messenger.1.plan.pro.p2":   {Event: event(""), Route: route},
		"other.postback.v1.messenger.1.message": {Event: event("message")},
		"deadletter.postback.v1.meta.not_json":  {Rejection: Rejection{Reason: ReasonNotJSON, Platform: UnknownPlatform}},
		"delivery.postback.v1.meta.1":           {Delivery: &Delivery{Webhook: "meta", Account: "1"}},
	} {
		m, err := item.Message(s, 1<<20)
		if err != nil || m.Subject != want {
			t.Errorf("got %s, %v, want %s", m.Subject, err, want)
		}
	}
}

func TestParseSubject(t *testing.T) {
	for _, wrong := range []string{
		"", "postback.v1", "postback.v1.messenger.1.plan", "postback.v1.messenger.1.plan.pro.more", "postback.v1.messenger.1.plan.pro.p64",
		"postback.v1.messenger.1.plan.pro.p03", "postback.v1.messenger.1.plan.pro.p-1", "postback.v1.messenger.1.plan.pro.p3.x",
		"unclaimed.postback.v1.messenger.1.plan.pro", "postback.v12.messenger.1.plan.pro",
	} {
		if got, ok := ParseSubject(DefaultRoot, wrong); ok {
			t.Errorf("%q: got %+v", wrong, got)
		}
	}
	want := Tokens{"messenger", "1", "plan", "p3", ""} // an action
	if got, ok := ParseSubject("a", "a.messenger.1.plan.p3"); !ok || got != want {
		t.Errorf("got %+v, %v", got, ok)
	}
}

func TestTokensFilters(t *testing.T) {
	for want, tokens := range map[string]Tokens{
		"a.>":                       {},
		"a.messenger.>":             {Platform: "messenger"},
		"a.*.1.>":                   {Account: "1"},
		"a.*.*.plan.>":              {Prefix: "plan"},
		"a.*.*.*.pro a.*.*.*.pro.*": {Action: "pro"},
		"a.*.*.*.* a.*.*.*.*.*":     {Action: "*"},
		"a.*.*.plan.*.p3":           {Prefix: "plan", Partition: "p3"},
	} {
		if got := strings.Join(tokens.Filters("a"), " "); got != want {
			t.Errorf("%+v: %s, want %s", tokens, got, want)
		}
	}
}

// FuzzSubjects: whatever the tokens of an event are, each filter made of some of them
// matches its subject, with and without partitions, and its subject is parsed back.
func FuzzSubjects(f *testing.F) {
	f.Add("plan:pro", "1", "messenger:1:2", 3, uint8(0b1100))
	f.Add("p3:p3", "p3", "", 64, uint8(0b1000))
	f.Fuzz(func(t *testing.T, raw, account, key string, partitions int, some uint8) {
		if account == "" {
			return
		}
		partitions = int(uint(partitions) % (MaxPartitions + 1))
		e := click(raw)
		e.Data.Account.ID, e.PartitionKey = account, key
		_, route := ParsePayload(raw)
		subject := Subjects{DefaultRoot, partitions}.Of(e, route)
		all, ok := ParseSubject(DefaultRoot, subject)
		if !ok || all.Prefix != route.Prefix || all.Action != route.Action || all.Account != EscapeToken(account) || (all.Partition != "") != (partitions > 0) {
			t.Fatalf("%s is parsed as %+v, %v", subject, all, ok)
		}
		var asked Tokens
		for i, token := range []struct{ to, from *string }{
			{&asked.Platform, &all.Platform}, {&asked.Account, &all.Account}, {&asked.Prefix, &all.Prefix},
			{&asked.Action, &all.Action}, {&asked.Partition, &all.Partition},
		} {
			if some>>i&1 == 1 {
				*token.to = *token.from
			}
		}
		matching := slices.DeleteFunc(asked.Filters(DefaultRoot), func(filter string) bool { return !matches(filter, subject) })
		if len(matching) != 1 {
			t.Errorf("%q of %q match %s", matching, asked.Filters(DefaultRoot), subject)
		}
	})
}
