package simulate

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/postback-gateway/gateway/schema"
)

// TestAsThePlatform: a simulated delivery has exactly the fields of the platform's, with
// the same types.
func TestAsThePlatform(t *testing.T) {
	click := func(kind schema.Kind) Click {
		return Click{Kind: kind, Account: "1", User: "2", Title: "T", Payload: "p"}
	}
	with := func(c Click, edit func(*Click)) Click {
		edit(&c)
		return c
	}
	for file, body := range map[string][]byte{
		"messenger/postback":                  Messenger(click("")),
		"messenger/quick-reply":               Messenger(click(schema.KindQuickReply)),
		"messenger/referral":                  Messenger(with(click(schema.KindReferral), func(c *Click) { c.Ref = "r" })),
		"messenger/optin-marketing":           Messenger(click(schema.KindOptin)),
		"messenger/optin-send-to-messenger":   Messenger(Click{Kind: schema.KindOptin, Account: "1", User: "2", Ref: "r"}),
		"messenger/optin-user-ref":            Messenger(Click{Kind: schema.KindOptin, Account: "1", UserRef: "u", Ref: "r"}),
		"instagram/postback":                  Instagram(click(schema.KindButton)),
		"instagram/quick-reply":               Instagram(click(schema.KindQuickReply)),
		"instagram/ice-breaker-with-referral": Instagram(with(click(schema.KindButton), func(c *Click) { c.Ref = "r" })),
		"instagram/quick-reply-with-referral": Instagram(with(click(schema.KindQuickReply), func(c *Click) { c.Ref = "r" })),
		"instagram/referral":                  Instagram(with(click(schema.KindReferral), func(c *Click) { c.Ref = "r" })),
		"instagram/optin":                     Instagram(click(schema.KindOptin)),
	} {
		sample, err := os.ReadFile("../testdata/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fields(t, body), fields(t, sample); !slices.Equal(got, want) {
			t.Errorf("%s: got %v\nwant %v", file, got, want)
		}
	}
}

func TestUnknownKind(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a list is no click of Messenger, and there was a delivery all the same")
		}
	}()
	Messenger(Click{Kind: schema.KindList})
}

// fields are the paths of a body with the types of their values.
func fields(t *testing.T, body []byte) []string {
	t.Helper()
	var root any
	if err := json.Unmarshal(body, &root); err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	var walk func(at string, value any)
	walk = func(at string, value any) {
		all[fmt.Sprintf("%s %T", at, value)] = true
		switch v := value.(type) {
		case map[string]any:
			for name := range v {
				walk(at+"/"+name, v[name])
			}
		case []any:
			for i := range v {
				walk(fmt.Sprint(at, "/", i), v[i])
			}
		}
	}
	walk("", root)
	return slices.Sorted(maps.Keys(all))
}
