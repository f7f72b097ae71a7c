package console

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestLive: the list is sent, and what is new; the ring takes deliveries only meanwhile.
func TestLive(t *testing.T) {
	c := newTestConsole(t)
	click := func(payload string) {
		c.deliver(testSecret, simulate.Messenger(simulate.Click{Account: "17", User: "1", Payload: payload}))
	}
	click("before")
	response, err := http.Get(c.URL + "/api/deliveries/live")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
				return data
			}
		}
		t.Fatal(lines.Err())
		return ""
	}
	if first := next(); !strings.Contains(first, `"rows":[]`) {
		t.Errorf("taken while nobody looked: %s", first)
	}
	click("after")
	if second := next(); !strings.Contains(second, `"text":"after"`) {
		t.Error(second)
	}
}

// TestLiveLeavesConnections: a browser has six connections to a server for all its windows,
// so only the first pages keep one. The others get the list, and ask again soon.
func TestLiveLeavesConnections(t *testing.T) {
	c := newTestConsole(t)
	open := func() *http.Response {
		response, err := http.Get(c.URL + "/api/deliveries/live")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	var streams []*http.Response
	for range maxStreams {
		streams = append(streams, open())
	}
	natstest.Eventually(t, "they are connected", func() bool { return c.console.streams.Load() == maxStreams })
	c.click("1", "plan:pro", "Pro")
	text, err := io.ReadAll(open().Body)
	if err != nil || !strings.HasPrefix(string(text), "retry: 1000\n") || !strings.Contains(string(text), `"text":"plan:pro"`) {
		t.Errorf("one page more: %v %s", err, text)
	}
	for _, stream := range streams {
		stream.Body.Close()
	}
	natstest.Eventually(t, "they are gone", func() bool { return c.console.streams.Load() == 0 })
	if !c.ring.Watching() {
		t.Error("deliveries are missing in a page that is loaded again")
	}
	for lines := bufio.NewScanner(open().Body); lines.Scan(); {
		if lines.Text() == ":" { // what keeps a quiet connection
			return
		}
		if strings.HasPrefix(lines.Text(), "data:") {
			c.click("1", "plan:free", "Free")
		}
		if strings.Contains(lines.Text(), "plan:free") {
			return
		}
	}
	t.Error("a page that connects later is not kept connected")
}

// TestSend: the page knows which delivery its click has become, also if nobody looked at
// the list, and however many others arrive.
func TestSend(t *testing.T) {
	c := newTestConsole(t)
	for range 2 * sampledPerSecond {
		c.ring.accepted.Allow()
	}
	status, text := c.act("/api/try/send", `{"platform":"messenger","kind":"button","account":"17","user":"1","payload":"plan:pro"}`)
	var sent struct{ Status, Seq int }
	if err := json.Unmarshal([]byte(text), &sent); status != 200 || err != nil || sent.Status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if status, text = c.do("GET", fmt.Sprintf("/api/deliveries/%d", sent.Seq), ""); status != 200 || !strings.Contains(text, `"text":"plan:pro"`) {
		t.Errorf("%d %s", status, text)
	}
}
