package browser

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// hostile are texts that run or change something where they are not treated as text.
var hostile = []string{
	`<script>window.pwned=1</script>`,
	`<img src=x onerror="window.pwned=1">`,
	`"><svg onload=window.pwned=1>`,
	`'-window.pwned=1-'`,
	`javascript:window.pwned=1`,
	`</pre></li><iframe srcdoc="<script>parent.pwned=1</script>">`,
	`{{constructor.constructor('window.pwned=1')()}}`,
	`${window.pwned=1}`,
	"\u202e gnp.exe \u2066 \u0000\u0007\u001b]0;x\u0007",
	`&lt;b&gt;&#x3c;script&#x3e;`,
	`__proto__`,
	strings.Repeat("W", 3000),
}

// TestHostile: what a stranger writes is text, wherever the page shows it.
func TestHostile(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	for i, text := range hostile {
		g.post(appSecret, click(text, text))
		g.post(appSecret, click(fmt.Sprintf("button:%c", 'a'+i), text))
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		// As an account, a person, the name of a member, a name in a dead letter.
		g.post(appSecret, `{"object":"page","entry":[{"id":`+string(quoted)+`,"messaging":[{"sender":{"id":`+string(quoted)+`},"recipient":{"id":`+string(quoted)+`},"timestamp":1,"postback":{"payload":`+string(quoted)+`,"mid":"h`+string(rune('a'+i))+`"}}]}]}`)
		g.post(appSecret, `{"object":"page","entry":[{"id":"1","messaging":[{`+string(quoted)+`:`+string(quoted)+`,"postback":`+string(quoted)+`}]}]}`)
		g.post("wrong", text)
	}
	g.request("/webhooks/telegram/%3Cimg%20src=x%20onerror=window.pwned=1%3E?%3Cscript%3E=1", "{}", "User-Agent", hostile[1], "X-Forwarded-For", hostile[0], "X-Hub-Signature-256", hostile[1])
	p.waitText("#rows", "/webhooks/telegram/<img")
	rows := p.js("document.querySelectorAll('.row').length")
	p.press("j")
	p.run(chromedp.KeyEvent("\r"))
	for i := 0; i < 5*len(hostile)+1; i++ {
		seq := p.js("new URLSearchParams(location.search).get('d')")
		p.wait(`!document.querySelector('#drawer').hidden && document.querySelector('#drawer .drawer-head') !== null`)
		if strings.Contains(p.js("document.querySelector('#drawer').textContent"), "Reveal personal data") {
			p.button("Reveal personal data")
			p.waitText("#drawer", "is shown")
		}
		p.press("j")
		if i < 5*len(hostile) {
			p.wait("new URLSearchParams(location.search).get('d') !== '" + seq + "'")
			p.waitText("#drawer", "Reveal personal data")
		}
	}
	p.press(kb.Escape)
	p.js("document.querySelector('[data-view=clicks]').click()")
	p.waitText("#clicks-result", "unclaimed")
	p.button("Reveal titles")
	p.waitText("#clicks-result", "<script>")
	p.choose("#clicks-by", "account")
	p.waitText("#clicks-result", "messenger "+testPage)
	p.js("document.querySelector('[data-view=funnel]').click()")
	p.wait("document.querySelectorAll('#funnel-suggested button').length > 1")
	p.js("document.querySelector('#funnel-suggested button').click()")
	p.js("document.querySelectorAll('#funnel-suggested button')[1].click()")
	p.button("Count people")
	p.waitText("#funnel-result", "Of the first")
	p.js("document.querySelector('[data-view=consumers]').click()")
	p.waitText("#consumers", "no consumer asks for it")
	if got := p.js("window.pwned"); got != "undefined" {
		t.Errorf("a text was run: pwned is %s", got)
	}
	if got := p.js("document.querySelectorAll('main script, main img, main svg, main iframe, #drawer script, #drawer img, #drawer svg, #drawer iframe, #strip img').length"); got != "0" {
		t.Errorf("%s elements were made of text", got)
	}
	if got := p.js("document.querySelectorAll('.row').length"); got != rows || rows == "0" {
		t.Errorf("%s rows, before %s", got, rows)
	}
}
