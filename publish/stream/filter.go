package stream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/postback-gateway/gateway/schema"
)

// Selection is what somebody wants to see of the gateway's streams.
type Selection struct {
	Spec    *Spec    // the stream
	Filters []string // of which none covers another; empty for everything
}

// Select understands a subject filter, such as postback.v1.*.*.plan.> or deadletter.>, or
// a payload, such as plan or plan:pro. An empty text selects all events. A filter that no
// message can match is an error.
func (s *Settings) Select(text string) (Selection, error) {
	if text == "" {
		return Selection{Spec: Events}, nil
	}
	if !s.isSubject(text) {
		return Selection{Events, s.PayloadFilters("", text)}, nil
	}
	if !server.IsValidSubject(text) {
		return Selection{}, fmt.Errorf("%q is not a subject filter: expected tokens joined by dots, such as %s.*.*.plan.>", text, s.Root)
	}
	for _, spec := range Specs {
		for _, form := range s.forms(spec) {
			if server.SubjectsCollide(text, form) {
				return Selection{spec, []string{text}}, nil
			}
		}
	}
	return Selection{}, fmt.Errorf("no event can match %q: the subject of an event is %s.PLATFORM.ACCOUNT.PREFIX.ACTION; "+
		"expected a filter such as %s.*.*.plan.>, or a payload such as plan", text, s.Root, s.Root)
}

// isSubject reports whether text is meant as a subject filter.
func (s *Settings) isSubject(text string) bool {
	tokens := strings.Split(text, ".")
	if slices.Contains(tokens, "*") || slices.Contains(tokens, ">") {
		return true
	}
	return slices.ContainsFunc(Specs, func(spec *Spec) bool {
		return strings.HasPrefix(text+".", spec.Prefix+s.Root+".") || len(spec.Advisories) > 0 && strings.HasPrefix(text, "$JS.EVENT.")
	})
}

// forms are the filters of all subjects that a stream's messages can have.
func (s *Settings) forms(spec *Spec) []string {
	if spec == Events || spec == Unclaimed {
		return schema.Tokens{Action: "*"}.Filters(spec.Prefix + s.Root)
	}
	return s.Subjects(spec)
}

// PayloadFilters returns the filters of the clicks with a payload. A payload without an
// action selects all actions. The reserved prefixes, such as =referral, are taken as they
// are. account is a token; empty for all accounts.
func (s *Settings) PayloadFilters(account, payload string) []string {
	parsed, route := schema.ParsePayload(payload)
	t := schema.Tokens{Account: account, Prefix: route.Prefix}
	switch {
	case strings.HasPrefix(payload, "="):
		t.Prefix, t.Action, _ = strings.Cut(payload, ".")
	case parsed.Action != "":
		t.Action = route.Action
	}
	return t.Filters(s.Root)
}

// Simplify drops filters that another one covers: a consumer rejects filters that overlap.
func Simplify(filters []string) []string {
	var kept []string
	for i, filter := range filters {
		covered := slices.ContainsFunc(filters[:i], func(o string) bool { return server.SubjectMatchesFilter(filter, o) }) ||
			slices.ContainsFunc(filters[i+1:], func(o string) bool { return o != filter && server.SubjectMatchesFilter(filter, o) })
		if !covered {
			kept = append(kept, filter)
		}
	}
	return kept
}

// Matches reports whether a subject is selected.
func (s Selection) Matches(subject string) bool {
	return len(s.Filters) == 0 || slices.ContainsFunc(s.Filters, func(f string) bool { return server.SubjectMatchesFilter(subject, f) })
}
