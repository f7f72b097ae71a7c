package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// TestTry: a click of every platform is composed, shows its subject, and is sent.
func TestTry(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	p.button("Try: send a click")
	p.waitText("#try-subject", "postback.v1.messenger."+testPage+".plan.enterprise")
	for platform, subject := range map[string]string{
		"instagram": "postback.v1.instagram.17841405309211844.order.=id",
		"whatsapp":  "postback.v1.whatsapp.106540352242922.order.=id",
		"telegram":  "postback.v1.telegram.shop_bot.order.=id",
	} {
		p.js("document.querySelector('#try-platform').value = '" + platform + "'")
		p.js("document.querySelector('#try-platform').dispatchEvent(new Event('change'))")
		p.js("document.querySelector('#try-payload').value = ''")
		p.run(chromedp.SendKeys(chromedp.CSS("#try-payload"), "order:8123991"))
		p.waitText("#try-subject", subject)
		p.button("Send the click")
		p.waitText("#try-result", `200`)
		p.waitText("#try-result", `"accepted":1`)
		p.js("document.querySelector('#try-result').replaceChildren()")
	}
	p.click("#try-wrong")
	p.button("Send the click")
	p.waitText("#try-result", "401")
	p.button("Show it in the deliveries")
	p.waitText("#rows", "telegram")
	p.waitText("#rows", "rejected")
	p.waitText("#drawer .callout", "Rejected: wrong secret")
	p.wait("document.querySelector('.row[aria-current]')?.innerText.includes('rejected')")
}

// TestTryIsInView: what sends the click is on view without scrolling, and so is the answer.
func TestTryIsInView(t *testing.T) {
	g := startGateway(t)
	for _, l := range []look{desktop, {width: 360}} {
		p := open(t, g, l, "/?view=try")
		p.waitText("#try-subject", "plan.enterprise")
		for _, selector := range []string{"#try-send", "#try-result code"} {
			p.wait("(() => { const at = document.querySelector('" + selector + "')?.getBoundingClientRect(); return at && at.height > 0 && at.top > 0 && at.bottom <= document.querySelector('footer').getBoundingClientRect().top })()")
			p.js("document.querySelector('#try-send').click()")
		}
	}
}
