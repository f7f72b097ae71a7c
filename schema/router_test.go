package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func click(raw string) *Event {
	p, _ := ParsePayload(raw)
	d := Data{Platform: Messenger, Account: Account{ID: "1"}, User: User{ID: "2"}, Kind: KindButton, Payload: &p}
	if raw == "" {
		d.Payload = nil
	}
	return &Event{ID: "e", Time: time.Unix(0, 0), Data: d}
}

func came(kind Kind, ref string) *Event {
	e := click("")
	e.Data.Kind = kind
	if ref != "" {
		e.Data.Referral = &Referral{Ref: ref}
	}
	return e
}

// optin returns an opt-in with a payload, unless raw is empty.
func optin(typ, ref, raw string) *Event {
	e := click(raw)
	e.Data.Kind, e.Data.Referral = KindOptin, &Referral{Type: typ, Ref: ref}
	return e
}

// filled returns what a person entered into a form.
func filled(kind Kind, raw string) *Event {
	e := click(raw)
	e.Data.Kind = kind
	if e.Data.IsForm() && raw != "" {
		p, _ := ParseForm(kind, raw)
		e.Data.Payload = &p
	}
	return e
}

// newTestRouter returns a router whose handlers record their names.
func newTestRouter(register func(r *Router, to func(name string) Handler)) (*Router, *string) {
	r, called := NewRouter(DefaultRoot), new(string)
	register(r, func(name string) Handler {
		return func(context.Context, *Event) error { *called = name; return nil }
	})
	return r, called
}

func TestRouterDispatch(t *testing.T) {
	r, called := newTestRouter(func(r *Router, to func(string) Handler) {
		r.Postback(to("answer"), "yes", "no")
		r.Postback(to("plan"), "plan")
		r.Postback(to("plan:pro"), "plan:pro")
		sales := r.Context("sales")
		sales.Postback(to("buy"), "buy")
		sales.AnyPostback(to("any in sales"))
		r.Context("sales/offers").Postback(to("view"), "view")
		r.Referral(to("spring"), "spring_sale")
		r.Referral(to("any referral"))
		r.Optin(to("stop"), "stop")
		r.Form(to("flow"), KindFlow)
		r.Form(to("any form"))
		r.Identity(to("identity"))
	})
	for name, c := range map[string]struct {
		event *Event
		want  string
	}{
		"one of two names":         {click("no"), "answer"},
		"another action":           {click("plan:basic"), "plan"},
		"params":                   {click(`plan:{"id":1}`), "plan"},
		"the longest name":         {click("plan:pro:yearly"), "plan:pro"},
		"letter case counts":       {click("Plan"), ""},
		"in a context":             {click(`sales/buy:{"id":1}`), "buy"},
		"any in a context":         {click("sales/see"), "any in sales"},
		"a sub context":            {click("sales/offers/view"), "view"},
		"any above a sub context":  {click("sales/offers/other"), "any in sales"},
		"outside of a context":     {click("buy"), ""},
		"no payload":               {click(""), ""},
		"a payload without a name": {click(`{"id":1}`), ""},
		"one ref":                  {came(KindReferral, "spring_sale"), "spring"},
		"another ref":              {came(KindReferral, "summer"), "any referral"},
		"no ref":                   {came(KindReferral, ""), "any referral"},
		"an opt-in of another ref": {came(KindOptin, "x"), ""},
		"an opt-in without a ref":  {came(KindOptin, ""), ""},
		"an opt-in of this ref":    {came(KindOptin, "stop"), "stop"},
		"an opt-out":               {optin(OptinStop, "", ""), "stop"},
		"an opt-out with a ref":    {optin(OptinStop, "x", ""), "stop"},
		"an opt-out and a payload": {optin(OptinStop, "", "plan"), "stop"},
		"an opt-in with a payload": {optin("notification_messages", "", "plan"), "plan"},
		"a renewed opt-in":         {optin(OptinResume, "stop", "plan"), ""},
		"a flow":                   {filled(KindFlow, `{"a":1}`), "flow"},
		"a flow without an answer": {filled(KindFlow, ""), "flow"},
		"another form":             {filled(KindForm, `{"action":"plan"}`), "any form"},
		"a Mini App's JSON":        {filled(KindWebApp, `{"action":"plan"}`), "any form"},
		"a Mini App's text":        {filled(KindWebApp, "plan:pro"), "plan:pro"},
		"a new number":             {came(KindIdentity, ""), "identity"},
	} {
		t.Run(name, func(t *testing.T) {
			*called = ""
			handled, err := r.Dispatch(t.Context(), c.event)
			if *called != c.want || handled != (c.want != "") || err != nil {
				t.Errorf("got %q, %v, %v, want %q", *called, handled, err, c.want)
			}
		})
	}
}

func TestRouterFilterSubjects(t *testing.T) {
	for name, c := range map[string]struct {
		register func(r *Router, to func(string) Handler)
		want     []string
	}{
		"nothing": {func(*Router, func(string) Handler) {}, nil},
		"prefixes": {func(r *Router, to func(string) Handler) { r.Postback(to("a"), "yes", "no") },
			[]string{"postback.v1.*.*.no.>", "postback.v1.*.*.yes.>"}},
		"an action": {func(r *Router, to func(string) Handler) { r.Postback(to("a"), "plan:pro") },
			[]string{"postback.v1.*.*.plan.pro", "postback.v1.*.*.plan.pro.*"}},
		"an action below its prefix": {func(r *Router, to func(string) Handler) { r.Postback(to("a"), "plan:pro"); r.Postback(to("b"), "plan") },
			[]string{"postback.v1.*.*.plan.>"}},
		"two names of one subject": {func(r *Router, to func(string) Handler) { r.Postback(to("a"), "a/b/c", "a/b/d") },
			[]string{"postback.v1.*.*.a.b", "postback.v1.*.*.a.b.*"}},
		"an id": {func(r *Router, to func(string) Handler) { r.Postback(to("a"), "order_8123991") },
			[]string{"postback.v1.*.*.order.=id", "postback.v1.*.*.order.=id.*"}},
		"escapes": {func(r *Router, to func(string) Handler) { r.Postback(to("a"), "Yes please") },
			[]string{"postback.v1.*.*.Yes=20please.>"}},
		"any": {func(r *Router, to func(string) Handler) {
			r.AnyPostback(to("a"))
			r.Postback(to("b"), "yes")
			r.Optin(to("c"))
		},
			[]string{"postback.v1.>"}},
		"any and a form": {func(r *Router, to func(string) Handler) { r.AnyPostback(to("a")); r.Form(to("b")) },
			[]string{"postback.v1.>"}},
		"forms": {func(r *Router, to func(string) Handler) { r.Form(to("a")); r.Form(to("b"), KindFlow) },
			[]string{"postback.v1.*.*.=form.>"}},
		"a kind of form": {func(r *Router, to func(string) Handler) { r.Form(to("a"), KindWebApp, KindForm) },
			[]string{"postback.v1.*.*.=form.form", "postback.v1.*.*.=form.form.*", "postback.v1.*.*.=form.web_app", "postback.v1.*.*.=form.web_app.*"}},
		"new numbers": {func(r *Router, to func(string) Handler) { r.Identity(to("a")) },
			[]string{"postback.v1.*.*.=identity.>"}},
		"referrals": {func(r *Router, to func(string) Handler) { r.Referral(to("a"), "x"); r.Optin(to("b")) },
			[]string{"postback.v1.*.*.=optin.>", "postback.v1.*.*.=referral.x", "postback.v1.*.*.=referral.x.*"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newTestRouter(c.register)
			if got := r.FilterSubjects(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A form that no other handler takes is a payload for AnyPostback, unless it is empty.
func TestRouterDispatchesForms(t *testing.T) {
	r, called := newTestRouter(func(r *Router, to func(string) Handler) {
		r.AnyPostback(to("any"))
		r.Form(to("flow"), KindFlow)
	})
	for raw, want := range map[string]string{`{"a":1}`: "any", "": ""} {
		*called = ""
		if _, err := r.Dispatch(t.Context(), filled(KindForm, raw)); *called != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", raw, *called, err, want)
		}
	}
}

func TestRouterPartitionFilterSubjects(t *testing.T) {
	r, _ := newTestRouter(func(r *Router, to func(string) Handler) {
		r.Postback(to("plan"), "plan")
		r.Postback(to("pro"), "plan:pro", "rate:5")
		r.Optin(to("stop"), "stop")
	})
	want := []string{"postback.v1.*.*.=optin.stop.p2", "postback.v1.*.*.plan.*.p2", "postback.v1.*.*.rate.5.p2"}
	if got := r.PartitionFilterSubjects(2); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r.AnyPostback(func(context.Context, *Event) error { return nil })
	if got, want := r.PartitionFilterSubjects(63), []string{"postback.v1.*.*.*.*.p63"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r, _ = newTestRouter(func(*Router, func(string) Handler) {})
	if got := r.PartitionFilterSubjects(0); got != nil {
		t.Errorf("without a handler: got %q", got)
	}
}

func TestRouterWithoutARoot(t *testing.T) {
	r := NewRouter("")
	r.Postback(func(context.Context, *Event) error { return nil }, "a")
	if got, want := r.FilterSubjects(), []string{"postback.v1.*.*.a.>"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRouterReturnsTheHandlersError(t *testing.T) {
	r, want := NewRouter(DefaultRoot), errors.New("no")
	r.Postback(func(context.Context, *Event) error { return want }, "a")
	if handled, err := r.Dispatch(t.Context(), click("a")); !handled || !errors.Is(err, want) {
		t.Errorf("got %v, %v", handled, err)
	}
}

func TestRouterPanicsAtMistakes(t *testing.T) {
	h := func(context.Context, *Event) error { return nil }
	for name, register := range map[string]func(r *Router){
		"no name":     func(r *Router) { r.Postback(h) },
		"empty":       func(r *Router) { r.Postback(h, "") },
		"separators":  func(r *Router) { r.Postback(h, "::") },
		"params":      func(r *Router) { r.Postback(h, `plan:{"id":1}`) },
		"twice":       func(r *Router) { r.Postback(h, "a", "b"); r.Postback(h, "b") },
		"two for any": func(r *Router) { r.AnyPostback(h); r.AnyPostback(h) },
		"a context":   func(r *Router) { r.Context("/") },
		"no form":     func(r *Router) { r.Form(h, KindButton) },
		"a form":      func(r *Router) { r.Form(h, KindFlow, KindFlow) },
		"identity":    func(r *Router) { r.Identity(h); r.Identity(h) },
		"negative":    func(r *Router) { r.PartitionFilterSubjects(-1) },
		"too high":    func(r *Router) { r.PartitionFilterSubjects(MaxPartitions) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "schema: ") {
					t.Errorf("recovered %q", text)
				}
			}()
			register(NewRouter(DefaultRoot))
		})
	}
}

// FuzzRouter: filters and code agree. An event with a handler has a subject that matches
// one of the consumer's filters.
func FuzzRouter(f *testing.F) {
	for _, v := range loadVectors(f, "testdata/payload-vectors.json") {
		f.Add(v.Raw, "plan:pro")
		f.Add(v.Raw, v.Raw)
	}
	f.Add("stop", "stop")
	f.Add("newsletter", "resume")
	f.Fuzz(func(t *testing.T, raw, name string) {
		p, route := ParsePayload(raw)
		if n, _ := ParsePayload(name); n.Prefix == "" || n.Params != nil {
			return // registering panics
		}
		r, called := newTestRouter(func(r *Router, to func(string) Handler) {
			r.Postback(to("postback"), name)
			r.Referral(to("referral"), name)
			r.Optin(to("optin"), name)
			r.Form(to("form"), KindFlow)
			r.Identity(to("identity"))
		})
		checkAsked := func(e *Event, route Route) {
			if handled, _ := r.Dispatch(t.Context(), e); !handled {
				return
			}
			checkOneFilter(t, *called, r.FilterSubjects(), Subjects{Root: DefaultRoot}.Of(e, route))
			e.PartitionKey = raw
			partitioned := Subjects{DefaultRoot, 4}.Of(e, route)
			checkOneFilter(t, *called, r.FilterSubjects(), partitioned)
			for n := range 4 {
				if strings.HasSuffix(partitioned, fmt.Sprint(".p", n)) {
					checkOneFilter(t, *called, r.PartitionFilterSubjects(n), partitioned)
				} else if slices.ContainsFunc(r.PartitionFilterSubjects(n), func(f string) bool { return matches(f, partitioned) }) {
					t.Errorf("%q matches %s", r.PartitionFilterSubjects(n), partitioned)
				}
			}
		}
		e := click(raw)
		if e.Data.Payload != nil {
			e.Data.Payload = &p
		}
		checkAsked(e, route)
		checkAsked(came(KindReferral, raw), RouteReferral(raw))
		checkAsked(came(KindIdentity, ""), RouteIdentity())
		for _, kind := range formKinds {
			e := filled(kind, raw)
			if e.Data.IsForm() {
				checkAsked(e, routeForm(kind))
			}
		}
		for _, typ := range []string{"", OptinStop, OptinResume} {
			e := optin(typ, raw, "")
			checkAsked(e, RouteOptin(e.Data.Referral))
			if e = optin(typ, raw, raw); e.Data.Payload != nil && typ != "" {
				checkAsked(e, RouteOptin(e.Data.Referral))
			}
		}
	})
}

// checkOneFilter: the server rejects filters that overlap, so exactly one has to match.
func checkOneFilter(t *testing.T, handler string, filters []string, subject string) {
	t.Helper()
	n := 0
	for _, filter := range filters {
		if matches(filter, subject) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%s handles the event of %s, and %d filters of %q match it", handler, subject, n, filters)
	}
}

// matches reports whether a NATS filter matches a subject.
func matches(filter, subject string) bool {
	want, got := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range want {
		switch {
		case token == ">":
			return len(got) > i
		case i >= len(got), token != "*" && token != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}
