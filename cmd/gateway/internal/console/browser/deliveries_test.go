package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

var desktop = look{width: 1280}

// TestDeliveries: a delivery is in the list, its drawer shows what it became, and what is
// personal only when somebody asks.
func TestDeliveries(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	if status := g.post(appSecret, click("plan:enterprise", "Enterprise")); status != 200 {
		t.Fatal(status)
	}
	p.waitText(".row", "plan:enterprise")
	p.click(".row")
	p.waitText("#drawer", "postback.v1.messenger."+testPage+".plan.enterprise")
	if text := p.js("document.querySelector('#drawer').textContent"); strings.Contains(text, testUser) || strings.Contains(text, "Enterprise") ||
		!strings.Contains(text, "••••") || !strings.Contains(text, "1 of 1 matches") {
		t.Errorf("not masked, or incomplete: %s", text)
	}
	if strings.Contains(g.logged(), "revealed") {
		t.Error("revealed before anybody asked")
	}
	p.button("Reveal personal data")
	p.wait(fmt.Sprintf("document.querySelector('#drawer').textContent.includes(%q)", testUser))
	if !strings.Contains(g.logged(), "personal data of a delivery revealed") {
		t.Errorf("no line in the log:\n%s", g.logged())
	}
}

// TestCopied: what the drawer copies works in a shell.
func TestCopied(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	hostile := "it's:\"x\" $(touch pwned) `touch pwned` \x1b[2J\n; touch pwned"
	g.post(appSecret, click(hostile, hostile))
	p.waitText(".row", "it's")
	p.click(".row")
	p.waitText("#drawer", "Reveal")
	p.button("Reveal personal data")
	p.waitText("#drawer", "is shown")
	for _, button := range []string{"Copy as curl", "Copy as gateway send"} {
		p.button(button)
		p.waitText("#say", "Copied: "+strings.TrimPrefix(button, "Copy as "))
		command := p.js("navigator.clipboard.readText()")
		if strings.ContainsAny(command, "\x1b\r") {
			t.Errorf("%s has control characters: %q", button, command)
		}
		cmd := exec.Command("bash", "-c", command)
		cmd.Dir = g.dir
		cmd.Env = append(os.Environ(), "APP_SECRET="+appSecret, "GATEWAY_META_APP_SECRETS="+appSecret,
			"GATEWAY_LISTEN="+strings.TrimPrefix(g.webhook, "http://"), "PATH="+strings.TrimSuffix(program, "/gateway")+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "200 OK") {
			t.Errorf("%s: %v %s\n%s", button, err, out, command)
		}
		if _, err := os.Stat(g.dir + "/pwned"); err == nil {
			t.Fatalf("%s ran a command of the payload: %s", button, command)
		}
	}
	p.waitText("#new", "2 new")
	p.button("Copy as nats command")
	p.waitText("#say", "nats")
	if command := p.js("navigator.clipboard.readText()"); !strings.Contains(command, "stream get POSTBACKS --last-for postback.v1.messenger.") {
		t.Errorf("the nats command: %s", command)
	}
}

// TestRejected: the reader sees that a delivery was rejected, why, and what to do, and
// never a signature.
func TestRejected(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	g.post("another-secret", click("plan:pro", "Pro"))
	g.post(appSecret, "not json")
	g.request("/webhooks/telegram/nobody", "{}")
	p.wait("document.querySelectorAll('.row').length === 3")
	p.waitText("#strip", "wrong secret or another body")
	p.waitText("#strip", "App settings, Basic")
	p.search("outcome:unauthenticated")
	p.wait("document.querySelectorAll('.row').length === 1")
	if got := p.js("location.search"); got != "?q=outcome%3Aunauthenticated" {
		t.Errorf("the URL says %s", got)
	}
	p.click(".row")
	p.waitText(".callout", "compare the configured app secrets")
	if text := p.js("document.querySelector('#drawer').textContent"); strings.Contains(text, "sha256=0") || !strings.Contains(text, "not shown") {
		t.Errorf("%s", text)
	}
}

// TestStandsStill: the list does not move under a reader.
func TestStandsStill(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	g.post(appSecret, click("first", "1"))
	p.waitText(".row", "first")
	p.press("j")
	g.post(appSecret, click("second", "2"))
	g.post(appSecret, click("third", "3"))
	p.waitText("#new", "2 new")
	if rows := p.text("#rows"); strings.Contains(rows, "second") {
		t.Errorf("the list has moved: %s", rows)
	}
	p.click("#new")
	p.wait("document.querySelectorAll('.row').length === 3")
	if first := p.text(".row"); !strings.Contains(first, "third") {
		t.Errorf("the first row is %s", first)
	}
	p.click("#pause")
	p.waitText("#pause", "Paused")
	g.post(appSecret, click("fourth", "4"))
	p.waitText("#new", "1 new")
	p.click("#pause")
	p.waitText(".row", "fourth")
}

// TestKeyboard: everything is reached without a mouse.
func TestKeyboard(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	for _, payload := range []string{"one", "two", "three"} {
		g.post(appSecret, click(payload, payload))
		p.waitText(".row", payload)
	}
	p.press("j", "j", kb.Enter)
	p.waitText("#drawer h2", "two")
	p.press("j")
	p.waitText("#drawer h2", "one")
	p.press(kb.Escape)
	p.wait("document.querySelector('#drawer').hidden")
	if focused := p.js("document.activeElement.innerText"); !strings.Contains(focused, "one") {
		t.Errorf("after Esc the focus is on %q", focused)
	}
	p.search("prefix:two")
	p.wait("document.querySelectorAll('.row').length === 1")
	p.press(kb.Escape)
	p.wait("document.querySelectorAll('.row').length === 3")
	p.press("?")
	p.wait("document.querySelector('#keys').open")
}

// TestKeyboardOpensDrawer: who opens a delivery with Enter is in it, not behind it, and Esc
// leads back to its row.
func TestKeyboardOpensDrawer(t *testing.T) {
	for _, l := range []look{desktop, {width: 360}} {
		g := startGateway(t)
		p := open(t, g, l, "/")
		p.waitText("#empty", "/webhooks/meta")
		g.post(appSecret, click("one", "one"))
		p.waitText(".row", "one")
		g.post(appSecret, click("two", "two"))
		p.waitText(".row", "two")
		p.press("j", kb.Enter)
		p.wait("document.activeElement.id === 'drawer'")
		p.press("j")
		p.waitText("#drawer h2", "one")
		p.wait("document.activeElement.id === 'drawer'")
		if l.width == 360 {
			if hidden := p.js("getComputedStyle(document.querySelector('.row')).visibility"); hidden != "hidden" {
				t.Errorf("a row behind the delivery can have the focus: its visibility is %s", hidden)
			}
		}
		p.press(kb.Tab)
		if focused := p.js("document.activeElement.innerText"); focused != "Reveal personal data" {
			t.Errorf("%s: after Tab the focus is on %q", l, focused)
		}
		p.press(kb.Escape)
		p.wait("document.activeElement.classList.contains('row') && document.activeElement.innerText.includes('one')")
	}
}

// TestOpenRowStaysInView: opening a delivery makes the list shorter, and the reader scrolls
// it; its row is in view all the time.
func TestOpenRowStaysInView(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	for i := range 60 {
		g.post(appSecret, click(fmt.Sprintf("plan:p%d", i), "Plan"))
	}
	p.wait("document.querySelectorAll('.row').length === 60")
	p.js("[...document.querySelectorAll('.row')].findLast((row) => row.getBoundingClientRect().bottom < innerHeight - 40).click()")
	p.waitText("#drawer", "Received by")
	inView := "(() => { const row = document.querySelector('.row[aria-current]').getBoundingClientRect(), list = document.querySelector('#scroller').getBoundingClientRect(); return row.top >= list.top - 1 && row.bottom <= list.bottom + 1 })()"
	for _, scroll := range []string{"0", "1e6", "0"} {
		p.wait(inView)
		p.js("document.querySelector('#scroller').scrollTop = " + scroll)
	}
	p.wait(inView)
}

// TestViewsStand: the links to the views do not move when a reader goes from one to another.
func TestViewsStand(t *testing.T) {
	g := startGateway(t)
	g.post("another-secret", click("plan:pro", "Pro"))
	p := open(t, g, desktop, "/")
	p.waitText("#strip", "wrong secret")
	top := "document.querySelector('nav').getBoundingClientRect().top"
	want := p.js(top)
	for _, view := range []string{"clicks", "funnel", "consumers", "fix", "try", "deliveries"} {
		p.click("nav a[data-view=" + view + "]")
		p.wait("!document.querySelector('#" + view + "').hidden")
		if got := p.js(top); got != want {
			t.Errorf("%s: the links are at %s, before at %s", view, got, want)
		}
	}
}

// TestUnknownOperator: who invents an operator learns which there are.
func TestUnknownOperator(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	g.post(appSecret, click("plan:pro", "Pro"))
	p.waitText("#rows", "plan:pro")
	p.search("button:pro")
	p.waitText("#empty", "button: is not an operator of the search")
	for _, operator := range []string{"platform:", "account:", "prefix:", "outcome:", "person:"} {
		p.waitText("#empty", operator)
	}
}

// TestSearchByURL: a link shows what its sender saw.
func TestSearchByURL(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/?q=person:"+testUser+"+account:"+testPage)
	p.wait("document.querySelector('#q').value !== ''")
	p.wait("document.querySelector('#ready').innerText.includes('ready')")
	g.post(appSecret, click("hers", "x"))
	g.request("/webhooks/telegram/shop_bot", `{"update_id":1,"callback_query":{"id":"7","from":{"id":99999,"is_bot":false,"first_name":"A"},"data":"his","message":{"message_id":1,"date":1,"chat":{"id":99999,"type":"private"}}}}`,
		"X-Telegram-Bot-Api-Secret-Token", botToken)
	p.waitText("#rows", "hers")
	if rows := p.text("#rows"); strings.Contains(rows, "his") {
		t.Errorf("another person's click: %s", rows)
	}
	p.search("platform:telegram")
	p.waitText("#rows", "his")
}

// TestForwarded: a forwarded delivery is marked, and the reader sees that the existing bot
// does not accept it.
func TestForwarded(t *testing.T) {
	bot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(bot.Close)
	g := startGateway(t, "GATEWAY_FORWARD=meta="+bot.URL)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	g.post(appSecret, click("plan:pro", "Pro"))
	p.waitText(".row", "→ bot")
	p.waitText("#strip", "meta is forwarded")
	p.wait("/meta is forwarded: .*[1-9]\\d* attempts? failed/.test(document.querySelector('#strip').innerText)")
	p.click(".row")
	p.waitText("#drawer", "to the existing bot of meta")
	p.press(kb.Escape)
	p.search("forwarded")
	p.waitText(".row", "plan:pro")
}
