package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// logLine is one line of the log, without its time and duration.
type logLine map[string]any

// deliveryLines returns the lines about deliveries since the last call.
func (ts *testServer) deliveryLines(t testing.TB) (lines []logLine) {
	t.Helper()
	for text := range strings.Lines(ts.log.String()) {
		var line logLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] != "delivery" {
			continue
		}
		if took, err := time.ParseDuration(fmt.Sprint(line["duration"])); err != nil || took <= 0 || took > time.Minute {
			t.Errorf("duration %v", line["duration"])
		}
		delete(line, "duration")
		delete(line, "time")
		delete(line, "msg")
		lines = append(lines, line)
	}
	ts.log.Reset()
	return lines
}

// onlyLine returns the line of the one delivery since the last call.
func (ts *testServer) onlyLine(t testing.TB) logLine {
	t.Helper()
	lines := ts.deliveryLines(t)
	if len(lines) != 1 {
		t.Fatalf("%d lines, expected 1: %v", len(lines), lines)
	}
	return lines[0]
}

func (l logLine) check(t testing.TB, want string) {
	t.Helper()
	got, err := json.Marshal(l) // in the order of the names
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func pagesOf(accounts ...string) []byte {
	var clicks []simulate.Click
	for _, account := range accounts {
		clicks = append(clicks, simulate.Click{Account: account, User: "u", Payload: "plan:pro"})
	}
	return simulate.Messenger(clicks...)
}

// TestDeliveryLine: each delivery has one line, which says what happened to it.
func TestDeliveryLine(t *testing.T) {
	ts := newTestServer(t, nil)
	// outcomes is what the store returns; nil is an error.
	for _, test := range []struct {
		name     string
		body     string
		outcomes []schema.Outcome
		want     string
	}{
		{"stored", okPostback, []schema.Outcome{schema.Stored},
			`{"accepted":1,"account":"1","duplicates":0,"ignored":0,"level":"INFO","outcome":"stored","platform":"messenger","rejected":0,"status":200}`},
		{"duplicate", okPostback, []schema.Outcome{schema.Duplicate},
			`{"accepted":0,"account":"1","duplicates":1,"ignored":0,"level":"INFO","outcome":"duplicate","platform":"messenger","rejected":0,"status":200}`},
		{"stored and duplicate", string(pagesOf("1", "1")), []schema.Outcome{schema.Duplicate, schema.Stored},
			`{"accepted":1,"account":"1","duplicates":1,"ignored":0,"level":"INFO","outcome":"stored","platform":"messenger","rejected":0,"status":200}`},
		{"ignored", `{"object":"instagram","entry":[{"id":"1","messaging":[{"read":{}}]}]}`, []schema.Outcome{},
			`{"accepted":0,"account":"","duplicates":0,"ignored":1,"level":"INFO","outcome":"ignored","platform":"instagram","rejected":0,"status":200}`},
		{"of nobody", `{"object":"group","entry":[]}`, []schema.Outcome{},
			`{"accepted":0,"account":"","duplicates":0,"ignored":1,"level":"INFO","outcome":"ignored","platform":"meta","rejected":0,"status":200}`},
		{"malformed", `{"object":"page","entry":[{"id":"1","messaging":[1]}]}`, []schema.Outcome{schema.Rejected},
			`{"accepted":0,"account":"","detail":"an item has to be an object, this is a JSON number","duplicates":0,"ignored":0,"level":"WARN","outcome":"rejected","platform":"messenger","reason":"malformed_item","rejected":1,"status":200}`},
		{"malformed among good", amongGood("1"), []schema.Outcome{schema.Stored, schema.Rejected, schema.Duplicate},
			`{"accepted":1,"account":"1","detail":"an item has to be an object, this is a JSON number","duplicates":1,"ignored":0,"level":"WARN","outcome":"rejected","platform":"messenger","reason":"malformed_item","rejected":1,"status":200}`},
		{"too large", okPostback, []schema.Outcome{schema.Rejected},
			`{"accepted":0,"account":"1","duplicates":0,"ignored":0,"level":"WARN","outcome":"rejected","platform":"messenger","reason":"too_large","rejected":1,"status":200}`},
		{"not JSON", `hello`, []schema.Outcome{schema.Rejected},
			`{"accepted":0,"account":"","detail":"not JSON at byte 0: invalid character 'h' at start of value","duplicates":0,"ignored":0,"level":"WARN","outcome":"rejected","platform":"meta","reason":"not_json","rejected":1,"status":400}`},
		{"failed", string(pagesOf("1", "2")), nil,
			`{"accepted":1,"account":"1,2","duplicates":0,"failed":1,"ignored":0,"level":"ERROR","outcome":"failed","platform":"messenger","reason":"nats-7 is away","rejected":0,"status":503}`},
		{"not JSON, failed", `hello`, nil,
			`{"accepted":1,"account":"","duplicates":0,"failed":0,"ignored":0,"level":"ERROR","outcome":"failed","platform":"meta","reason":"nats-7 is away","rejected":0,"status":503}`},
		{"several accounts", string(pagesOf("3", "1", "3", "2", "1", "4", "5", "4")), slicesOf(schema.Stored, 8),
			`{"accepted":8,"account":"3,1,2","accounts":5,"duplicates":0,"ignored":0,"level":"INFO","outcome":"stored","platform":"messenger","rejected":0,"status":200}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			ts.pub.publish = func(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
				if test.outcomes == nil {
					return append([]schema.Outcome{schema.Stored}, slicesOf(schema.Failed, len(items)-1)...), errors.New("nats-7 is away")
				}
				return test.outcomes, nil
			}
			ts.post(t, []byte(test.body), nil)
			ts.onlyLine(t).check(t, test.want)
		})
	}
}

func slicesOf(outcome schema.Outcome, n int) []schema.Outcome {
	all := make([]schema.Outcome, n)
	for i := range all {
		all[i] = outcome
	}
	return all
}

// The number of accounts that are counted is limited.
func TestDeliveryLineOfManyAccounts(t *testing.T) {
	ts := newTestServer(t, nil)
	var accounts []string
	for i := range 3 * countedAccounts {
		accounts = append(accounts, fmt.Sprint(i))
	}
	ts.post(t, pagesOf(accounts...), nil)
	if l := ts.onlyLine(t); l["account"] != "0,1,2" || l["accounts"] != float64(countedAccounts) {
		t.Errorf("got %v", l)
	}
}

// A request of an unknown sender has no delivery line. A delivery that is refused before
// it is decoded has one.
func TestDeliveryLineOfRefusals(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.MaxBodyBytes, c.MaxInFlight = 1000, 1 })
	large := []byte(strings.Repeat(" ", 1001))
	ts.post(t, []byte(okPostback), map[string]string{headerSignature: ""})
	ts.post(t, []byte(okPostback), map[string]string{headerSignature: signatureOf("other", []byte(okPostback))})
	ts.post(t, large, nil)
	ts.post(t, []byte(okPostback), map[string]string{"Content-Type": "text/plain"})
	ts.update(t, testBot, []byte(okUpdate), map[string]string{headerTelegram: "other"})
	ts.update(t, testBot, large, nil) // refused by its Content-Length
	if lines := ts.deliveryLines(t); len(lines) > 0 {
		t.Errorf("lines of unknown senders: %v", lines)
	}

	chunked, err := simulate.TelegramRequest(ts.url, testBot, testBotToken, large)
	if err != nil {
		t.Fatal(err)
	}
	chunked.Body, chunked.ContentLength = readerOnly{bytes.NewReader(large)}, -1
	ts.do(t, chunked).check(t, 413, errTooLarge.Detail)
	ts.onlyLine(t).check(t, `{"accepted":0,"account":"shop_bot","duplicates":0,"ignored":0,"level":"WARN","outcome":"refused",`+
		`"platform":"telegram","reason":"the body is larger than this gateway takes","rejected":0,"status":413}`)

	if err := ts.slots.take(); err != nil { // somebody else is inside
		t.Fatal(err)
	}
	for range maxWaiting {
		ts.slots.waiting <- struct{}{}
	}
	for range 3 { // at once, so there is one line
		ts.post(t, []byte(okPostback), nil).check(t, 503, errBusy.Detail)
	}
	ts.onlyLine(t).check(t, `{"accepted":0,"account":"","duplicates":0,"ignored":0,"level":"WARN","outcome":"refused",`+
		`"platform":"meta","reason":"too many requests in flight; deliver again","rejected":0,"status":503}`)
}

type readerOnly struct{ *bytes.Reader }

func (readerOnly) Close() error { return nil }

// TestHandshakeLines: a successful handshake is logged. A failed one, which anybody can
// send, is logged at most once a second.
func TestHandshakeLines(t *testing.T) {
	ts := newTestServer(t, nil)
	ask := func(token string) {
		r, err := http.NewRequest(http.MethodGet, ts.url+"/webhooks/meta?hub.mode=subscribe&hub.challenge=hush&hub.verify_token="+token, nil)
		if err != nil {
			t.Fatal(err)
		}
		ts.do(t, r)
	}
	for range 50 {
		ask("wrong-hush")
	}
	ask(testToken)
	if n := strings.Count(ts.log.String(), "handshake refused"); n == 0 || n > 10 {
		t.Errorf("%d lines about refused handshakes", n)
	}
	if n := strings.Count(ts.log.String(), "handshake answered"); n != 1 {
		t.Errorf("%d lines about the one that was answered", n)
	}
	if text := ts.log.String(); strings.Contains(text, "hush") || strings.Contains(text, testToken) {
		t.Errorf("the log shows what was sent: %s", text)
	}
}

// TestLogHoldsNothingOfUsers posts every delivery in testdata, once with a store that
// fails. From info on, the log has nothing of the events and dead letters but platform
// and account.
func TestLogHoldsNothingOfUsers(t *testing.T) {
	for name, publish := range map[string]func(context.Context, []schema.Item) ([]schema.Outcome, error){
		"stored": nil,
		"failed": func(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
			return slicesOf(schema.Failed, len(items)), errors.New("nats-7 is away")
		},
	} {
		t.Run(name, func(t *testing.T) {
			secrets := newTestServer(t, nil)
			var log bytes.Buffer
			ts := newTestServer(t, nil)
			ts.Server.log = slog.New(slog.NewTextHandler(&log, nil)) // info
			ts.pub.publish = publish
			for _, file := range deliveries(t) {
				secrets.deliver(t, file)
				log.Reset()
				ts.deliver(t, file)
				if strings.Count(log.String(), "\n") != 1 {
					t.Errorf("%s: expected one line:\n%s", file.name(), log.String())
				}
				for _, m := range secrets.pub.taken() {
					checkNotLogged(t, file, m, fieldName.ReplaceAllString(log.String(), ""))
				}
			}
		})
	}
}

// fieldName matches the name of a field in a line of text.
var fieldName = regexp.MustCompile(`\b\w+=`)

// checkNotLogged looks for all strings of a message except those that the log should
// have.
func checkNotLogged(t *testing.T, file sample, m schema.Message, log string) {
	t.Helper()
	var e struct {
		Data    schema.Data
		Account string // of a dead letter
	}
	var all any
	if err := errors.Join(json.Unmarshal(m.Data, &e), json.Unmarshal(m.Data, &all)); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{e.Data.Platform: true, e.Data.Account.ID: true, e.Account: true, "malformed_item": true, "not_json": true, schema.UnknownPlatform: true, file.folder: true}
	eachText(all, func(text string) {
		const shortest = 4 // what is shorter stands in everything
		if len(text) >= shortest && !known[text] && strings.Contains(log, text) {
			t.Errorf("%s: the log holds %q:\n%s", file.name(), text, log)
		}
	})
}

func eachText(value any, found func(string)) {
	switch v := value.(type) {
	case string:
		found(v)
	case []any:
		for _, one := range v {
			eachText(one, found)
		}
	case map[string]any:
		for _, one := range v {
			eachText(one, found)
		}
	}
}

// TestLogIsDocumented: the manual lists every outcome with its level.
func TestLogIsDocumented(t *testing.T) {
	manual, err := os.ReadFile("../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, outcome := range []string{outcomeRefused, outcomeFailed, outcomeRejected, outcomeStored, outcomeDuplicate, outcomeIgnored} {
		if row := "\n| `" + outcome + "` | " + strings.ToLower(logLevel(outcome).String()) + " |"; !strings.Contains(string(manual), row) {
			t.Errorf("docs/logs.md has no row %q", row)
		}
	}
}

// TestLogIsCheap: a disabled level costs nothing.
func TestLogIsCheap(t *testing.T) {
	server, err := New(testConfig(), &fakePublisher{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d := &delivery{received: time.Now(), counts: counts{accepted: 1}}
	if n := testing.AllocsPerRun(100, func() { server.logDelivery(t.Context(), d, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
