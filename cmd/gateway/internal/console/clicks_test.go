package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

// TestClicks: the most pressed first, with what nobody asks for, over all windows.
func TestClicks(t *testing.T) {
	c := newTestConsole(t)
	c.consumer("billing", "plan")
	c.consumer("archive", "")
	for range 3 {
		c.click("1", "plan:pro", "Pro")
	}
	c.click("1", "plan:free", "Free")
	c.click("1", "help", "Help")
	c.deliver(testSecret, simulate.Messenger(simulate.Click{Account: "18", User: "1", Payload: "plan:pro", Title: "Pro"}))
	for _, window := range []string{"", "1h", "24h", "7d"} {
		for by, want := range map[string]string{
			"":         "plan.pro 4, plan.free 1, help._ 1 unclaimed 1",
			"prefix":   "plan. 5, help. 1 unclaimed 1",
			"platform": "messenger 6 unclaimed 1",
			"account":  "messenger 17 5 unclaimed 1, messenger 18 1",
		} {
			var got clicks
			c.scanned("/api/clicks?window="+window+"&by="+by, &got)
			if text := shown(got.Rows); !sameRows(text, want) || got.Total != 6 || len(got.Accounts) != 2 {
				t.Errorf("%s by %s: %s, want %s; %+v", window, by, text, want, got)
			}
			checkPlot(t, window, &got)
		}
	}
	var one clicks
	c.scanned("/api/clicks?window=24h&platform=messenger&account=18", &one)
	if text := shown(one.Rows); text != "plan.pro 1" || len(one.Accounts) != 2 {
		t.Errorf("of one account: %s", text)
	}
	for _, path := range []string{"/api/clicks?window=2h", "/api/clicks?by=person"} {
		if status, text := c.do("GET", path, ""); status != 422 || !strings.Contains(text, "expected") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func shown(rows []clickRow) string {
	var all []string
	for _, row := range rows {
		name := row.Prefix + "." + row.Action
		if row.Prefix == "" {
			name = strings.TrimSpace(row.Platform + " " + row.Account)
		}
		text := fmt.Sprint(name, " ", row.Events)
		if row.Unclaimed > 0 {
			text += fmt.Sprint(" unclaimed ", row.Unclaimed)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// sameRows compares without the order of rows with the same number.
func sameRows(got, want string) bool {
	if len(got) != len(want) {
		return false
	}
	for _, row := range strings.Split(want, ", ") {
		if !strings.Contains(got, row) {
			return false
		}
	}
	return strings.HasPrefix(got, strings.Split(want, ", ")[0])
}

func checkPlot(t *testing.T, window string, c *clicks) {
	t.Helper()
	if window == "" {
		if c.Times == nil || len(c.Times) > 0 {
			t.Errorf("a plot without a window: %v", c.Times)
		}
		return
	}
	var sum uint64
	for _, line := range c.Lines {
		if len(line) != len(c.Times) {
			t.Errorf("%s: %d points at %d times", window, len(line), len(c.Times))
		}
		for _, n := range line {
			sum += n
		}
	}
	if sum != c.Total || len(c.Times) < 12 || len(c.Times) > 60 {
		t.Errorf("%s: the plot has %d events of %d in %d steps", window, sum, c.Total, len(c.Times))
	}
}

// TestClicksWithoutScan: what the stream knows does not wait for a scan.
func TestClicksWithoutScan(t *testing.T) {
	c := newTestConsole(t)
	c.click("1", "plan:pro", "Pro")
	c.console.scans.turn <- struct{}{} // somebody scans
	var got clicks
	c.scanned("/api/clicks", &got)
	if got.Total != 1 {
		t.Errorf("%+v", got)
	}
	<-c.console.scans.turn
}

// TestTitles: titles are hidden until somebody asks, which the log keeps.
func TestTitles(t *testing.T) {
	c := newTestConsole(t)
	c.click("1", "plan:pro", "The old title")
	c.click("1", "plan:pro", "Go pro")
	c.click("1", "help", "Help me")
	if _, text := c.do("GET", "/api/clicks", ""); strings.Contains(text, "Go pro") {
		t.Errorf("not asked for: %s", text)
	}
	status, text := c.act("/api/clicks/titles", `{"rows":[{"prefix":"help","action":"_"},{"prefix":"plan","action":"pro"},{"prefix":"nobody","action":"_"}]}`)
	if want := `{"titles":["Help me","Go pro",""]}`; status != 200 || strings.TrimSpace(text) != want {
		t.Errorf("%d %s, want %s", status, text, want)
	}
	if !strings.Contains(c.log.String(), "titles of buttons revealed") {
		t.Errorf("the log does not know: %s", c.log)
	}
}
