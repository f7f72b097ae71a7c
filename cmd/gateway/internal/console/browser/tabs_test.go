package browser

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
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

// TestManyWindows: more windows are on view than a browser has connections to a server. Each
// opens, and lists what arrives.
func TestManyWindows(t *testing.T) {
	g := startGateway(t)
	var windows []*tab
	for range 8 {
		p := open(t, g, desktop, "/")
		p.waitText("#empty", "/webhooks/meta")
		windows = append(windows, p)
	}
	for i := range 2 {
		payload := fmt.Sprintf("plan:p%d", i)
		g.post(appSecret, click(payload, "Plan"))
		for _, p := range windows {
			p.waitText("#rows", payload)
		}
	}
	last := windows[len(windows)-1]
	last.js("document.querySelector('[data-view=clicks]').click()")
	last.waitText("#clicks-result", "plan.p1")
}

// TestRestart: a page that stays open while the gateway is restarted says which of its
// deliveries are of the earlier one, and opens no other delivery instead.
func TestRestart(t *testing.T) {
	before, after := startGateway(t), startGateway(t)
	var target atomic.Pointer[url.URL]
	show := func(g *gateway) {
		address, err := url.Parse(g.admin)
		if err != nil {
			t.Fatal(err)
		}
		target.Store(address)
	}
	show(before)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target.Load())
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
	})
	p := open(t, &gateway{t: t, admin: proxy.URL}, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	before.post(appSecret, click("plan:before", "Before"))
	p.waitText("#rows", "plan:before")
	p.waitText("#rows", "The list begins here")
	link := p.js("document.querySelector('a.row').search")
	p.isRestarted.Store(true)
	show(after)
	after.keepDeliveries()
	after.post(appSecret, click("plan:after", "After"))
	before.stop()
	p.waitText("#rows", "plan:after")
	p.wait("document.querySelectorAll('a.row').length === 1 && document.querySelectorAll('div.row.old').length === 1")
	p.waitText("#rows .gap", "The gateway was restarted")
	p.click("a.row")
	p.waitText("#drawer h2", "plan:after")
	p = open(t, p.g, desktop, "/"+link)
	p.waitText("#drawer", "no longer kept")
}
