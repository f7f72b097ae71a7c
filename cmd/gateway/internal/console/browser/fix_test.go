package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// jetStream connects a client of the gateway's embedded server.
func (g *gateway) jetStream() jetstream.JetStream {
	g.t.Helper()
	var line struct{ NATS string }
	for text := range strings.Lines(g.logged()) {
		if strings.Contains(text, `"msg":"gateway is up"`) && json.Unmarshal([]byte(text), &line) != nil {
			g.t.Fatal(text)
		}
	}
	nc, err := nats.Connect(line.NATS)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		g.t.Fatal(err)
	}
	return js
}

// broken is a gateway with everything that can be repaired: three dead letters, of which
// one can be read now, one event that the consumer billing has given up, and a consumer
// that cannot be reset.
func broken(t *testing.T) *gateway {
	t.Helper()
	g := startGateway(t)
	js := g.jetStream()
	for name, cfg := range map[string]jetstream.ConsumerConfig{
		"billing": {AckWait: time.Hour}, "answering": {DeliverPolicy: jetstream.DeliverNewPolicy},
	} {
		cfg.Durable = name
		if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", cfg); err != nil {
			t.Fatal(err)
		}
	}
	if status := g.post(appSecret, click("plan:enterprise", "Enterprise")); status != 200 {
		t.Fatal(status)
	}
	m := g.next(js)
	if err := errors.Join(m.TermWithReason("no such plan"), g.postMalformed(js)); err != nil {
		t.Fatal(err)
	}
	return g
}

// next returns what the consumer billing gets.
func (g *gateway) next(js jetstream.JetStream) jetstream.Msg {
	g.t.Helper()
	billing, err := js.Consumer(g.t.Context(), "POSTBACKS", "billing")
	if err != nil {
		g.t.Fatal(err)
	}
	m, err := billing.Next(jetstream.FetchMaxWait(20 * time.Second))
	if err != nil {
		g.t.Fatal(err)
	}
	return m
}

func (g *gateway) postMalformed(js jetstream.JetStream) error {
	g.post(appSecret, `{"object":"page","entry":[{"id":"`+testPage+`","messaging":[{"sender":{"id":"`+testUser+`"},"recipient":{"id":"`+testPage+`"},"timestamp":1,"postback":{"mid":"m_bad","title":"Ana","payload":7}}]}]}`)
	g.post(appSecret, "hello")
	// As an older version stores what it cannot read.
	letter, err := json.Marshal(map[string]any{
		"reason": "malformed_item", "detail": "postback is missing", "received_at": time.Now().UTC().Truncate(time.Millisecond), "platform": "messenger",
		"encoding": "utf-8", "length": 1, "sha256": "00", "truncated": false,
		"body":   `{"sender":{"id":"` + testUser + `"},"recipient":{"id":"` + testPage + `"},"timestamp":1700000000000,"postback":{"mid":"m_lost","title":"T","payload":"plan:lost"}}`,
		"before": `{"object":"page","entry":[{"id":"` + testPage + `","messaging":[`, "after": "]}]}"})
	if err == nil {
		_, err = js.Publish(g.t.Context(), "deadletter.postback.v1.messenger.malformed_item", letter)
	}
	return err
}

// openFix opens the view when everything is in it.
func openFix(t *testing.T, g *gateway, l look) *tab {
	t.Helper()
	p := open(t, g, l, "/")
	p.waitText("nav", "Fix (4)") // the consumer's advisory takes a moment
	p.click("nav a[data-view=fix]")
	p.waitText("#fix-given-up", "billing has given up 1 event")
	return p
}

func (p *tab) openLetter(seq int) {
	p.t.Helper()
	p.click(fmt.Sprintf("#fix-letters li[data-seq=\"%d\"] summary", seq))
	p.waitText(fmt.Sprintf("#fix-letters li[data-seq=\"%d\"] .letter", seq), "Received")
}

// TestFixDeadLetters: a reader sees why an item could not be read, and where, and has it
// parsed again. Nothing happens before the reader says yes.
func TestFixDeadLetters(t *testing.T) {
	g := broken(t)
	p := openFix(t, g, desktop)
	p.openLetter(1)
	if got := p.text(".letter .wrong"); got != `"payload"` {
		t.Errorf("marked %s, expected the payload", got)
	}
	if text := p.text("#fix"); strings.Contains(text, testUser) || strings.Contains(text, "Ana") || !strings.Contains(text, testPage) || !strings.Contains(text, "postback/payload has to be a string") {
		t.Errorf("not masked, or incomplete: %s", text)
	}
	p.button("Reveal personal data")
	p.waitText("#fix-letters", testUser)
	if !strings.Contains(g.logged(), "personal data of a dead letter revealed") {
		t.Errorf("no line in the log:\n%s", g.logged())
	}
	p.button("Choose all")
	p.button("Replay 3 chosen")
	p.waitText("dialog.confirm", "1 can be read now and will be stored as events, with the ids that they would have had")
	p.waitText("dialog.confirm", "2 still cannot be read: kept")
	p.button("Cancel")
	p.wait("document.querySelector('dialog.confirm') === null")
	if strings.Contains(g.logged(), "replayed") || p.text("#fix-result") != "" {
		t.Errorf("replayed without a yes: %s", g.logged())
	}
	p.button("Replay 3 chosen")
	p.waitText("dialog.confirm", "can be read now")
	p.button("Replay")
	p.waitText("#fix-result", "1 stored as events")
	p.waitText("nav", "Fix (3)")
	p.wait("document.querySelectorAll('#fix-letters > li').length === 2")
	if !strings.Contains(g.logged(), `"msg":"dead letters were replayed"`) {
		t.Errorf("no line in the log:\n%s", g.logged())
	}
	if m := g.next(g.jetStream()); m.Subject() != "postback.v1.messenger."+testPage+".plan.lost" || m.Headers().Get("Nats-Msg-Id") != "messenger:"+testPage+":m_lost" {
		t.Errorf("stored on %s: %v", m.Subject(), m.Headers())
	}
}

// TestDeadLetterAndDelivery: a delivery shows the same of its dead letter as Fix does, each
// leads to the other, and the delivery says when the dead letter is gone.
func TestDeadLetterAndDelivery(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	js := g.jetStream()
	if err := g.postMalformed(js); err != nil {
		t.Fatal(err)
	}
	p.search("malformed")
	p.wait("document.querySelectorAll('.row').length === 1")
	p.waitText(".row", testPage)
	p.click(".row")
	p.waitText("#drawer .letter", "postback/payload has to be a string")
	if got := p.text("#drawer .letter .wrong"); got != `"payload"` {
		t.Errorf("marked %s, expected the payload", got)
	}
	shown := p.text("#drawer .letter")
	p.waitText("#drawer", "Open in Fix")
	p.js("[...document.querySelectorAll('#drawer a')].find((a) => a.innerText === 'Open in Fix').click()")
	p.waitText("#fix-letters > li[data-seq='1'] .letter", "Show its delivery")
	if got := p.text("#fix-letters > li[data-seq='1'] .letter"); !strings.HasPrefix(got, shown) {
		t.Errorf("Fix shows\n%s\nthe delivery\n%s", got, shown)
	}
	if strings.Contains(shown, testUser) || strings.Contains(shown, "Ana") {
		t.Errorf("not masked: %s", shown)
	}
	p.js("[...document.querySelectorAll('#fix-letters a')].find((a) => a.innerText === 'Show its delivery').click()")
	p.waitText("#drawer .letter", "postback/payload has to be a string")
	p.press("\x1b")
	letters, err := js.Stream(t.Context(), "POSTBACKS_DEADLETTER")
	if err != nil {
		t.Fatal(err)
	}
	if err := letters.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	p.openFound("malformed")
	p.waitText("#drawer", "not among the dead letters")
	p = open(t, g, desktop, "/?view=fix&letter=1")
	p.waitText("#fix-result", "not stored any more")
}

// TestOldDeadLetter: a link to a dead letter opens it also if the list does not go back to it.
func TestOldDeadLetter(t *testing.T) {
	g := startGateway(t)
	for i := range 60 {
		g.post(appSecret, fmt.Sprintf("not json %d", i))
	}
	p := open(t, g, desktop, "/?view=fix&letter=2")
	p.waitText("#fix-letters > li:last-child .letter", "Received")
	if rows := p.js("[document.querySelectorAll('#fix-letters > li').length, document.querySelector('#fix-letters > li:last-child').dataset.seq].join()"); rows != "51,2" {
		t.Errorf("rows and the last one: %s", rows)
	}
	p.waitText("#fix-letters > li:last-child .letter", "Its delivery is not in the list")
}

// TestFixConsumer: what a consumer has given up, and events from a moment on, are replayed
// to that consumer alone, when the reader has read what that means.
func TestFixConsumer(t *testing.T) {
	g := broken(t)
	js := g.jetStream()
	p := openFix(t, g, desktop)
	p.button("Replay to billing")
	p.waitText("dialog.confirm", "1 of these events it has given up.")
	p.waitText("dialog.confirm", "other consumers receive nothing")
	p.button("Replay")
	p.waitText("#fix-result", "billing receives 1 event again")
	p.waitText("nav", "Fix (3)")
	if m := g.next(js); !strings.Contains(m.Subject(), ".plan.enterprise") {
		t.Errorf("billing got %s", m.Subject())
	}
	if !strings.Contains(g.logged(), `"msg":"events are replayed to a consumer"`) {
		t.Errorf("no line in the log:\n%s", g.logged())
	}
	p.js("document.querySelector('#fix-consumer').value = 'billing'")
	p.js("document.querySelector('#fix-consumer').dispatchEvent(new Event('change'))")
	p.button("Replay…")
	p.waitText("dialog.confirm", "from event 1 on")
	p.press("\x1b")
	p.wait("document.querySelector('dialog.confirm') === null")
	p.js("document.querySelector('#fix-consumer').value = 'answering'")
	p.js("document.querySelector('#fix-consumer').dispatchEvent(new Event('change'))")
	p.waitText("#fix-why", "by_start_time")
	if p.js("document.querySelector('#fix-replay').disabled") != "true" {
		t.Error("a consumer that cannot be reset can be replayed to")
	}
}

// TestFixHostile: a dead letter is text, whatever it has in it.
func TestFixHostile(t *testing.T) {
	g := startGateway(t)
	for _, text := range hostile {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		g.post(appSecret, `{"object":"page","entry":[{"id":`+string(quoted)+`,"messaging":[{`+string(quoted)+`:`+string(quoted)+`,"postback":`+string(quoted)+`}]}]}`)
		g.post(appSecret, text)
	}
	p := open(t, g, desktop, "/?view=fix")
	p.wait(fmt.Sprintf("document.querySelectorAll('#fix-letters > li').length === %d", 2*len(hostile)))
	for seq := range 2 * len(hostile) {
		p.openLetter(seq + 1)
		p.js(fmt.Sprintf("[...document.querySelectorAll('#fix-letters li[data-seq=\"%d\"] button')].at(-1).click()", seq+1))
		p.waitText(fmt.Sprintf("#fix-letters li[data-seq=\"%d\"]", seq+1), "is shown")
	}
	if got := p.js("window.pwned"); got != "undefined" {
		t.Errorf("a text was run: pwned is %s", got)
	}
	if got := p.js("document.querySelectorAll('#fix script, #fix img, #fix svg, #fix iframe').length"); got != "0" {
		t.Errorf("%s elements were made of text", got)
	}
}

// TestFixLooks shows the view in every look. Nothing is wider than the screen, and axe
// finds nothing serious.
func TestFixLooks(t *testing.T) {
	axe, err := os.ReadFile(filepath.FromSlash(os.Getenv("AXE")))
	if err != nil {
		t.Log("NOT CHECKED by axe: AXE has to be the path of axe.min.js")
	}
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			g := broken(t)
			p := openFix(t, g, l)
			p.checkLook("fix-"+l.String(), string(axe), l)
			p.openLetter(1)
			p.checkLook("fix-open-"+l.String(), string(axe), l)
			p.button("Parse again")
			p.waitText("#fix-result", "Nothing can be replayed")
			p.button("Replay to billing")
			p.waitText("dialog.confirm", "given up")
			p.checkLook("fix-confirm-"+l.String(), string(axe), l)
		})
	}
	t.Run("empty", func(t *testing.T) {
		p := open(t, startGateway(t), desktop, "/?view=fix")
		p.waitText("#fix", "There are no dead letters")
		p.waitText("#fix", "There is no durable consumer")
		p.checkLook("fix-empty", string(axe), desktop)
	})
}

func (p *tab) checkLook(name, axe string, l look) {
	p.t.Helper()
	p.shoot(name)
	if width := p.js("document.documentElement.scrollWidth"); width != strconv.FormatInt(l.width, 10) {
		p.t.Errorf("%s: the page is %s px wide", name, width)
	}
	if axe == "" {
		return
	}
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[chromedp.Void](axe+";0")); err != nil {
		p.t.Fatal(err)
	}
	if found := p.js("axe.run().then((result) => JSON.stringify(result.violations.map((v) => [v.id, v.impact, v.help, v.nodes.map((n) => n.html + n.failureSummary)])))"); found != "[]" {
		p.t.Errorf("%s: axe finds %s", name, found)
	}
}
