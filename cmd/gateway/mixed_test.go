package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// mixedClick is the only click with its number. Its texts have many lengths. Deliveries
// begin at a multiple of 8.
func mixedClick(n int) simulate.Click {
	return simulate.Click{
		Account: fmt.Sprint("9", n-n%8), User: fmt.Sprint("7", n), ID: fmt.Sprint("m_", n),
		Title: fmt.Sprint(n, strings.Repeat("t", n%50)), Payload: fmt.Sprint("plan:p", n, ":", strings.Repeat("x", n*37%300)),
	}
}

// mixedBody returns a delivery of clicks from number n on, some with a malformed item.
func mixedBody(n int) (body []byte, events, deadLetters int) {
	events = 1 + n/8%3
	var clicks []simulate.Click
	for i := range events {
		clicks = append(clicks, mixedClick(n+i))
	}
	switch n / 8 % 4 {
	case 0:
		return simulate.WhatsApp(clicks...), events, 0
	case 1:
		malformed := fmt.Sprintf(`"entry":[{"id":"9%d","messaging":[{"postback":%d}]},`, n, n)
		return bytes.Replace(simulate.Messenger(clicks...), []byte(`"entry":[`), []byte(malformed), 1), events, 1
	default:
		return simulate.Messenger(clicks...), events, 0
	}
}

// TestNothingIsMixedUp: what a delivery reuses of an earlier one never shows in the
// response, the events, the dead letters and the log line of another one.
func TestNothingIsMixedUp(t *testing.T) {
	const secret, clients, deliveries = "secret-of-this-test", 16, 60
	in := startInside(t, map[string]string{"INCLUDE_RAW": "true", "META_APP_SECRETS": secret})
	var events, deadLetters atomic.Int64
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range deliveries {
				body, accepted, rejected := mixedBody((c*deliveries + i) * 8)
				events.Add(int64(accepted))
				deadLetters.Add(int64(rejected))
				r, err := simulate.Request(in.at.Webhook, secret, body)
				if err != nil {
					t.Error(err)
					return
				}
				want := fmt.Sprintf(`{"accepted":%d,"duplicates":0,"ignored":0,"rejected":%d}`, accepted, rejected)
				if status, answer := in.do(r); status != http.StatusOK || answer != want {
					t.Errorf("%s: answered %d %s, want %s", body, status, answer, want)
				}
			}
		})
	}
	all.Wait()
	wantUnmixed(t, in.at.NATS, int(events.Load()))
	rejected := consume(t, in.at.NATS, "POSTBACKS_DEADLETTER")
	seen := make(map[string]bool)
	for range deadLetters.Load() {
		var d schema.DeadLetter
		if err := json.Unmarshal(rejected.next().Data(), &d); err != nil {
			t.Fatal(err)
		}
		seen[d.Body] = true
	}
	for n := 8; n < clients*deliveries*8; n += 4 * 8 {
		if item := fmt.Sprintf(`{"postback":%d}`, n); !seen[item] {
			t.Errorf("no dead letter of %s", item)
		}
	}
	in.end()
	for n := range clients * deliveries {
		if line := fmt.Sprintf(`"account":"9%d"`, n*8); in.logLines(0, `"delivery"`, line) != 1 {
			t.Errorf("%d log lines with %s", in.logLines(0, `"delivery"`, line), line)
		}
	}
}

// wantUnmixed reads n events and compares each with the click of its number.
func wantUnmixed(t *testing.T, url string, n int) {
	t.Helper()
	stored := consume(t, url, "POSTBACKS")
	seen := make(map[string]bool)
	for range n {
		_, e, _ := stored.event()
		number, err := strconv.Atoi(strings.TrimPrefix(e.ID, "m_"))
		if err != nil {
			t.Fatal(err)
		}
		want := mixedClick(number)
		if d := &e.Data; d.Payload == nil || d.Payload.Raw != want.Payload || d.Title != want.Title || d.MessageID != want.ID ||
			d.Account.ID != want.Account || d.User.ID != want.User || !strings.Contains(string(d.Raw), `"`+want.Payload+`"`) {
			t.Errorf("got %+v, want %+v", e, want)
		}
		seen[e.ID] = true
	}
	if len(seen) != n {
		t.Errorf("%d different events, expected %d", len(seen), n)
	}
}
