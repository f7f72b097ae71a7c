package browser

import (
	"fmt"
	"strings"
	"testing"
)

// TestClicks: which button is pressed most, by whom it is not received, and its title only
// when somebody asks.
func TestClicks(t *testing.T) {
	g := startGateway(t)
	g.consumer("billing", "plan")
	for i := range 3 {
		g.post(appSecret, clickOf(fmt.Sprint(i), "plan:enterprise", "Enterprise"))
	}
	g.post(appSecret, click("plan:free", "Free"))
	g.post(appSecret, click("help", "Help me"))
	p := open(t, g, desktop, "/?view=clicks")
	p.waitText("#clicks-result", "plan.enterprise")
	if first := p.text(".clicks-table tbody tr"); !strings.Contains(first, "plan.enterprise") || !strings.Contains(first, "60 %") || strings.Contains(first, "unclaimed") {
		t.Errorf("the first row: %s", first)
	}
	if all := p.text("#clicks-result"); !strings.Contains(all, "unclaimed") || strings.Contains(all, "Enterprise") || !strings.Contains(all, "5 events") {
		t.Errorf("the table: %s", all)
	}
	p.wait("document.querySelector('#clicks-plot canvas') !== null")
	p.waitText("#clicks-plot", "plan.enterprise")
	p.button("Reveal titles")
	p.waitText("#clicks-result", "Enterprise")
	if !strings.Contains(g.logged(), "titles of buttons revealed") {
		t.Errorf("no line in the log:\n%s", g.logged())
	}
	p.choose("#clicks-by", "prefix")
	p.waitText(".clicks-table tbody tr", "80 %")
	p.choose("#clicks-account", "messenger "+testPage)
	p.choose("#clicks-when", "")
	p.wait("document.querySelector('#clicks-plot').hidden")
	p.waitText("#clicks-result", "in the stream")
	if got := p.js("location.search"); got != "?view=clicks&by=prefix&window=all&platform=messenger&account="+testPage {
		t.Errorf("the URL says %s", got)
	}
	p.choose("#clicks-account", "")
	p.wait("!location.search.includes('account')")
}

// TestClicksInWords: a key that is not the bot's own word is explained beside it.
func TestClicksInWords(t *testing.T) {
	g := startGateway(t)
	for _, payload := range []string{"order:8123991", "order:8123992", "Talk to us"} {
		g.post(appSecret, click(payload, "x"))
	}
	g.request("/webhooks/telegram/shop_bot", `{"update_id":1,"message":{"message_id":1,"date":1,"from":{"id":99999,"is_bot":false,"first_name":"A"},"chat":{"id":99999,"type":"private"},"text":"/start spring_sale"}}`,
		"X-Telegram-Bot-Api-Secret-Token", botToken)
	p := open(t, g, desktop, "/?view=clicks")
	for _, text := range []string{"order.=id", "order with any id", "=referral.spring_sale", "came by a link or an ad", "Talk=20to=20us", "“Talk to us”"} {
		p.waitText("#clicks-result", text)
	}
	p.choose("#clicks-by", "prefix")
	p.waitText("#clicks-result", "came by a link or an ad")
	p.wait("[...document.querySelectorAll('.meaning')].map((words) => words.innerText).sort().join() === 'came by a link or an ad,“Talk to us”'")
}

// TestFunnel: steps are picked from what exists, and counted by people.
func TestFunnel(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/?view=funnel")
	p.waitText("#funnel-suggested", "No event is stored yet")
	for i, steps := range [][]string{{"GET_STARTED", "plan:pro", "order:8123991"}, {"GET_STARTED", "plan:free"}, {"GET_STARTED"}, {"plan:pro"}} {
		for _, payload := range steps {
			g.post(appSecret, clickOf(fmt.Sprint("person", i), payload, payload))
		}
	}
	p = open(t, g, desktop, "/?view=funnel")
	p.button("+ GET_STARTED")
	p.button("+ plan")
	p.button("Add a step")
	p.wait("document.querySelectorAll('#funnel-steps input').length === 3")
	p.press("order")
	p.button("Count people")
	p.waitText("#funnel-result", "Of the first")
	if told := p.js("document.querySelector('#funnel .scan[role=status]').textContent"); !strings.Contains(told, "The result follows") {
		t.Errorf("a screen reader is told %q", told)
	}
	for i, want := range []string{"GET_STARTED 3 100 %", "plan 2 67 % 67 %", "order 1 33 % 50 %"} {
		row := p.js(fmt.Sprintf("document.querySelectorAll('.funnel-table tbody tr')[%d].innerText.replace(/\\s+/g, ' ').trim()", i))
		if !strings.HasPrefix(row, want) {
			t.Errorf("row %d: %s, want %s", i, row, want)
		}
	}
	p.waitText("#funnel-result", "Nobody came with a referral")
	link := p.js("location.search")
	p = open(t, g, desktop, "/"+link)
	p.waitText("#funnel-result", "67 %")
	p.js("document.querySelector('[aria-label=\"Remove step 3\"]').click()")
	if focused := p.js("document.activeElement.ariaLabel"); focused != "Step 2" {
		t.Errorf("after the last of three steps is removed, the focus is on %s", focused)
	}
	p.js("document.querySelector('[aria-label=\"Move step 2 up\"]').click()")
	p.button("Count people")
	p.waitText(".funnel-table tbody tr", "plan")
	p.js("document.querySelectorAll('#funnel-steps input').forEach((input) => { input.value = '' })")
	p.button("Count people")
	p.waitText("#funnel-error", "at least two steps")
}

// TestConsumers: how far consumers are, in their view, in the drawer and in Try.
func TestConsumers(t *testing.T) {
	g := startGateway(t)
	p := open(t, g, desktop, "/")
	p.waitText("#empty", "/webhooks/meta")
	p.js("document.querySelector('[data-view=consumers]').click()")
	p.waitText("#consumers", "No durable consumer exists")
	billing := g.consumer("billing", "plan")
	g.consumer("archive", "")
	g.post(appSecret, click("plan:enterprise", "Enterprise"))
	g.post(appSecret, click("help", "Help"))
	g.ack(billing, 1)
	p.waitText(".consumers-table", "archive")
	p.wait("[...document.querySelectorAll('.consumers-table tbody tr')].some((row) => row.innerText.includes('billing') && row.innerText.includes('up to date'))")
	p.wait("[...document.querySelectorAll('.consumers-table tbody tr')].some((row) => row.innerText.includes('archive') && row.innerText.includes('behind') && row.innerText.includes('everything'))")
	p.js("document.querySelector('[data-view=deliveries]').click()")
	p.openFound("plan")
	p.waitText("#drawer .receivers", "billing")
	if text := p.text("#drawer .received-by"); !strings.Contains(text, "acknowledged") || !strings.Contains(text, "archive … waits for it") {
		t.Errorf("received by: %s", text)
	}
	p.js("document.querySelector('[data-view=try]').click()")
	p.waitText("#try-receivers", "billing")
	p.js("document.querySelector('#try-payload').select()")
	p.press("rate:5")
	p.waitText("#try-subject", "rate.5")
	p.wait("!document.querySelector('#try-receivers').innerText.includes('billing') && document.querySelector('#try-receivers').innerText.includes('archive')")
}
