package browser

import (
	"testing"
)

// TestManyTabs: a browser has six connections to a server, and a reader more tabs. A
// delivery that arrives while a tab is hidden is in its list afterwards.
func TestManyTabs(t *testing.T) {
	g := startGateway(t)
	var tabs []*tab
	for range 8 {
		p := open(t, g, desktop, "/")
		p.waitText("#empty", "/webhooks/meta")
		p.hide(true)
		p.wait("performance.getEntriesByType('resource').some((entry) => entry.name.endsWith('/api/deliveries/keep'))")
		tabs = append(tabs, p)
	}
	g.post(appSecret, click("plan:pro", "Pro"))
	for _, p := range tabs[:2] {
		if rows := p.js("document.querySelectorAll('.row').length"); rows != "0" {
			t.Errorf("a hidden tab has a connection: %s rows", rows)
		}
		p.hide(false)
		p.waitText("#rows", "plan:pro")
	}
}
