package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

type vector struct {
	Raw         string          `json:"raw"`
	Prefix      string          `json:"prefix"`
	Action      string          `json:"action"`
	Rest        []string        `json:"rest"`
	Params      json.RawMessage `json:"params"`
	SubjectTail string          `json:"subject_tail"`
}

func loadVectors(t testing.TB, file string) []vector {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return reflect.DeepEqual(x, y)
}

// payload-vectors.json has the examples of the published rule. edges.json has cases that
// the rule decides without an example.
func TestParsePayload(t *testing.T) {
	for _, file := range []string{"testdata/payload-vectors.json", "testdata/payload-edges.json"} {
		for _, v := range loadVectors(t, file) {
			t.Run(v.Raw, func(t *testing.T) {
				p, route := ParsePayload(v.Raw)
				if p.Raw != v.Raw || p.Prefix != v.Prefix || p.Action != v.Action || !reflect.DeepEqual(p.Rest, v.Rest) {
					t.Errorf("pieces: got %q %q %q, want %q %q %q", p.Prefix, p.Action, p.Rest, v.Prefix, v.Action, v.Rest)
				}
				if !sameJSON(t, p.Params, v.Params) {
					t.Errorf("params: got %s, want %s", p.Params, v.Params)
				}
				if tail := route.Prefix + "." + route.Action; tail != v.SubjectTail {
					t.Errorf("subject: got %s, want %s", tail, v.SubjectTail)
				}
			})
		}
	}
}

func TestReservedRoutes(t *testing.T) {
	for ref, action := range map[string]string{
		"":                "_",
		"spring_sale":     "spring_sale",
		"plan:enterprise": "plan",
		"checkout_42":     "checkout",
		"8123991":         "=id",
		`{"action":"x"}`:  "action",
		"a b":             "a=20b",
		"order_8123991":   "order",
		"a1b2c3d4":        "a1b2c3d4",
		"a1b2c3d4e5":      "=id",
		"see 12345":       "=id",
		"全球":              "=id",
	} {
		if got, want := RouteReferral(ref), (Route{"=referral", action}); got != want {
			t.Errorf("RouteReferral(%q) = %v, want %v", ref, got, want)
		}
		if got, want := RouteOptin(&Referral{Ref: ref}), (Route{"=optin", action}); got != want {
			t.Errorf("RouteOptin(%q) = %v, want %v", ref, got, want)
		}
	}
}

// The largest payload must not take quadratic time: with a quadratic algorithm this takes
// hours.
func TestParsePayloadHostile(t *testing.T) {
	const n = 1 << 20
	for name, raw := range map[string]string{
		"brackets":   strings.Repeat("[", n) + "]",
		"braces":     strings.Repeat(`{"a":`, n/5) + "}",
		"strings":    strings.Repeat(`["`, n/2) + "]",
		"escapes":    `"` + strings.Repeat(`\`, n) + `"]`,
		"questions":  strings.Repeat("?", n),
		"pairs":      strings.Repeat("?a=b&c=d", n/8) + "&",
		"tails":      strings.Repeat("_1", n/2),
		"separators": strings.Repeat(":", n),
		"ids":        strings.Repeat("_12345", n/6),
		"no ids":     strings.Repeat("1234_", n/5),
		"hyphens":    "a" + strings.Repeat("-", n),
		"calls":      strings.Repeat("(", n) + ")",
		"arguments":  "f(" + strings.Repeat("a=1,", n/4) + ")",
		"members":    "{" + strings.Repeat(`"Action":"",`, n/12) + `"action":""}`,
		"queries":    strings.Repeat("action=&", n/8) + "ACTION=x",
	} {
		t.Run(name, func(t *testing.T) {
			_, route := ParsePayload(raw)
			checkRoute(t, route)
		})
	}
}

// Deep params would make the event unreadable for many parsers, so they are left out. The
// route stays the same.
func TestParsePayloadDeep(t *testing.T) {
	deep := func(n int) string {
		return `{"action":"buy","x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}"
	}
	p, route := ParsePayload(deep(MaxDepth))
	if route != (Route{"buy", "_"}) || p.Params == nil {
		t.Errorf("at the limit: got %v, params %.20s", route, p.Params)
	}
	p, route = ParsePayload(deep(MaxDepth + 1))
	if route != (Route{"buy", "_"}) || p.Params != nil {
		t.Errorf("over the limit: got %v, params %.20s", route, p.Params)
	}
}

// TestParsePayloadNumbers: the route stays the same, and the params are only in raw.
func TestParsePayloadNumbers(t *testing.T) {
	for raw, want := range map[string]Route{
		`{"action":"buy","n":1e400}`: {"buy", "_"},
		`plan:{"n":[1e400]}`:         {"plan", "_"},
	} {
		if p, route := ParsePayload(raw); route != want || p.Params != nil || p.Raw != raw {
			t.Errorf("%s: got %v, params %s", raw, route, p.Params)
		}
	}
}

var validToken = regexp.MustCompile(`^([A-Za-z0-9_-]|=[0-9A-F]{2}){1,48}$|^=(id|long|json|query)$`)

func checkRoute(t *testing.T, r Route) {
	t.Helper()
	for _, token := range []string{r.Prefix, r.Action} {
		if !validToken.MatchString(token) {
			t.Errorf("invalid token %q", token)
		}
	}
}

func FuzzParsePayload(f *testing.F) {
	for _, file := range []string{"testdata/payload-vectors.json", "testdata/payload-edges.json"} {
		for _, v := range loadVectors(f, file) {
			f.Add(v.Raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, route := ParsePayload(raw)
		checkRoute(t, route)
		checkRoute(t, Route{RouteReferral(raw).Action, RouteOptin(&Referral{Ref: raw}).Action})
		if subject := (Subjects{Root: "postback.v1"}).Of(click(raw), route); strings.Count(subject, ".") != 5 {
			t.Errorf("subject %q has not 6 tokens", subject)
		}
		if again, routeAgain := ParsePayload(raw); !reflect.DeepEqual(p, again) || route != routeAgain {
			t.Errorf("not the same twice: %v %v", p, again)
		}
		if utf8.ValidString(raw) && raw != "" {
			checkRoundTrip(t, p)
		}
	})
}

// checkRoundTrip checks that a consumer decodes what was parsed.
func checkRoundTrip(t *testing.T, p Payload) {
	t.Helper()
	text, err := encode(p)
	if err != nil {
		t.Fatal(err)
	}
	var decoded Payload
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Errorf("not what every parser reads: %s: %v", text, err)
	}
	if decoded.Raw != p.Raw {
		t.Errorf("raw: got %q, want %q", decoded.Raw, p.Raw)
	}
	var compact bytes.Buffer
	if p.Params != nil {
		if err := json.Compact(&compact, p.Params); err != nil {
			t.Fatal(err)
		}
		p.Params = compact.Bytes()
	}
	if !reflect.DeepEqual(decoded, p) {
		t.Errorf("got %#v, want %#v", decoded, p)
	}
}
