package console

import (
	"strings"
	"testing"
)

// TestNoNull: a list without entries is a list, whatever the page asks for.
func TestNoNull(t *testing.T) {
	c := newTestConsole(t)
	defer c.ring.Watch()()
	paths := []string{"/api/page", "/api/consumers", "/api/clicks?window=", "/api/clicks?window=24h&by=account", "/api/funnel?step=a&step=b",
		"/api/receivers?subject=postback.v1.messenger.17.plan.pro", "/api/fix", "/api/fix/count", "/api/deliveries/keep"}
	check := func(path, text string) {
		if strings.Contains(text, "null") || text == "" {
			t.Errorf("%s answers %s", path, text)
		}
	}
	get := func() {
		for _, path := range paths {
			_, text := c.do("GET", path, "")
			check(path, text)
		}
		_, text := c.act("/api/fix/dead-letters", `{"filters":["deadletter.none"],"dry_run":true}`)
		check("replay", text)
	}
	get()
	c.deliver(testSecret, []byte(`{"object":"page","entry":[]}`))
	c.deliver("another-secret", []byte(`{}`))
	c.deliver(testSecret, []byte(`{"object":"page","entry":[{"id":"17","messaging":[{"sender":{"id":"1"},"postback":7}]}]}`))
	c.click("1", "plan:pro", "Pro")
	for at := range 4 {
		paths = append(paths, c.delivery(at)+"/receivers")
		_, text := c.do("GET", c.delivery(at), "")
		check(c.delivery(at), strings.NewReplacer(`"send":null`, "", `"letter":null`, "").Replace(text)) // these are no lists
	}
	get()
	records, _ := c.ring.after(0)
	for _, record := range records {
		check("the list", string(record.json()))
	}
}
