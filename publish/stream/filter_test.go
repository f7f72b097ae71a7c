package stream

import (
	"strings"
	"testing"
)

func TestSelect(t *testing.T) {
	s := Settings{Root: "postback.v1", Stream: "POSTBACKS"}
	for _, test := range []struct{ text, filters, suffix, fault string }{
		{"", "", "", ""},
		{"plan", "postback.v1.*.*.plan.>", "", ""},
		{"plan:pro", "postback.v1.*.*.plan.pro postback.v1.*.*.plan.pro.*", "", ""},
		{"plan.pro", "postback.v1.*.*.plan.pro postback.v1.*.*.plan.pro.*", "", ""},
		{"GET_STARTED", "postback.v1.*.*.GET_STARTED.>", "", ""},
		{"=referral", "postback.v1.*.*.=referral.>", "", ""},
		{"=optin.stop", "postback.v1.*.*.=optin.stop postback.v1.*.*.=optin.stop.*", "", ""},
		{"two words", "postback.v1.*.*.two=20words.>", "", ""},
		{"postback.v1.*.*.plan.>", "postback.v1.*.*.plan.>", "", ""},
		{">", ">", "", ""},
		{"postback.v1.messenger.>", "postback.v1.messenger.>", "", ""},
		{"postback.v1.*.*.plan.pro.p3", "postback.v1.*.*.plan.pro.p3", "", ""},
		{"deadletter.>", "deadletter.>", "_DEADLETTER", ""},
		{"deadletter.postback.v1.meta.not_json", "deadletter.postback.v1.meta.not_json", "_DEADLETTER", ""},
		{"unclaimed.postback.v1.>", "unclaimed.postback.v1.>", "_UNCLAIMED", ""},
		{"postback.v1.plan", "", "", "no event can match"},
		{"postback.v1.*.plan", "", "", "no event can match"},
		{"other.*.x", "", "", "no event can match"},
		{"postback.v1..>", "", "", "not a subject filter"},
	} {
		got, err := s.Select(test.text)
		if (err != nil) != (test.fault != "") || err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if err == nil && (strings.Join(got.Filters, " ") != test.filters || got.Spec.Suffix != test.suffix) {
			t.Errorf("%q: %+v", test.text, got)
		}
	}
}

func TestSimplify(t *testing.T) {
	for given, want := range map[string]string{
		"a.> a.b":     "a.>",
		"a.b a.>":     "a.>",
		"a.b a.b":     "a.b",
		"a.b a.b.> c": "a.b a.b.> c",
	} {
		if got := strings.Join(Simplify(strings.Fields(given)), " "); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}
