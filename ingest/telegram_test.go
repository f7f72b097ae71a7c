package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

const (
	testBot      = "shop_bot"
	testBotToken = "a-Secret_token-of-setWebhook"
)

// The first bot's token is being changed.
var testBots = []TelegramSecret{{testBot, "an-older-token"}, {"other-bot", "token-of-the-other"}, {testBot, testBotToken}}

// deliver posts the delivery of a file in testdata to the webhook of its platform.
func (ts *testServer) deliver(t testing.TB, file sample) answer {
	t.Helper()
	if file.folder == schema.Telegram {
		return ts.update(t, testBot, file.body, nil)
	}
	return ts.post(t, file.body, nil)
}

// update posts body to the webhook of a bot, with its secret token unless header says
// otherwise.
func (ts *testServer) update(t testing.TB, bot string, body []byte, header map[string]string) answer {
	t.Helper()
	r, err := simulate.TelegramRequest(ts.url, bot, testBotToken, body)
	if err != nil {
		t.Fatal(err)
	}
	return ts.send(t, r, header)
}

const okUpdate = `{"update_id":1,"callback_query":{"id":"c1","from":{"id":7},"chat_instance":"1","data":"plan:pro"}}`

// Every secret of a bot is accepted, and counted by its place in the whole list.
func TestTelegramSecrets(t *testing.T) {
	ts := newTestServer(t, nil)
	for _, test := range []struct {
		bot, token string
		status     int
	}{
		{testBot, "an-older-token", 200},
		{testBot, testBotToken, 200},
		{testBot, testBotToken, 200},
		{"other-bot", "token-of-the-other", 200},
		{testBot, "token-of-the-other", 401},
		{"other-bot", testBotToken, 401},
		{testBot, "an-older-toke", 401},
		{testBot, "an-older-token2", 401},
		{testBot, "AN-OLDER-TOKEN", 401},
		{testBot, "", 401},
	} {
		a := ts.update(t, test.bot, []byte(okUpdate), map[string]string{headerTelegram: test.token})
		if a.status != test.status {
			t.Errorf("%s with %q: got %d %s, want %d", test.bot, test.token, a.status, a.body, test.status)
		}
		if test.status == 401 {
			a.check(t, 401, errSecretToken.Detail)
		}
		if got := ts.pub.taken(); (len(got) == 1) != (test.status == 200) {
			t.Errorf("%s with %q: published %v", test.bot, test.token, got)
		}
	}
	const want = `
# HELP gateway_signature_failures_total Requests refused because of their signature, by the reason.
# TYPE gateway_signature_failures_total counter
gateway_signature_failures_total{platform="meta",reason="malformed"} 0
gateway_signature_failures_total{platform="meta",reason="mismatch"} 0
gateway_signature_failures_total{platform="meta",reason="missing"} 0
gateway_signature_failures_total{platform="meta",reason="reencoded_body"} 0
gateway_signature_failures_total{platform="meta",reason="sha1_only"} 0
gateway_signature_failures_total{platform="telegram",reason="mismatch"} 5
gateway_signature_failures_total{platform="telegram",reason="missing"} 1
# HELP gateway_signature_verified_total Requests accepted, by the place of the secret in its list, from 1: an old secret may go when it is used no more.
# TYPE gateway_signature_verified_total counter
gateway_signature_verified_total{platform="meta",secret="1"} 0
gateway_signature_verified_total{platform="meta",secret="2"} 0
gateway_signature_verified_total{platform="telegram",secret="1"} 1
gateway_signature_verified_total{platform="telegram",secret="2"} 1
gateway_signature_verified_total{platform="telegram",secret="3"} 2
`
	err := testutil.GatherAndCompare(ts.reg, strings.NewReader(want), "gateway_signature_failures_total", "gateway_signature_verified_total")
	if err != nil {
		t.Error(err)
	}
	checkTelegramLog(t, ts.log.String())
}

// checkTelegramLog: the log says what to do, and contains no secret.
func checkTelegramLog(t *testing.T, log string) {
	t.Helper()
	for _, want := range []string{rejectNoToken.help, rejectWrongToken.help, `"bot":"` + testBot + `"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	for _, secret := range []string{"an-older", testBotToken, "token-of-the-other", "plan:pro"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
}

func TestTelegramRoutes(t *testing.T) {
	ts := newTestServer(t, nil)
	for _, test := range []struct {
		method, path string
		status       int
		detail       string
		allow        string
	}{
		{"GET", "/webhooks/telegram/shop_bot", 405, "expected POST", "POST"},
		{"PUT", "/webhooks/telegram/other-bot", 405, "expected POST", "POST"},
		{"POST", "/webhooks/telegram/shop_bot", 401, errSecretToken.Detail, ""},
		{"POST", "/webhooks/telegram/unknown", 404, errNotFound.Detail, ""},
		{"GET", "/webhooks/telegram/unknown", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/telegram/", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/telegram", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/telegram/shop_bot/", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/telegram/shop_botx", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/telegram/xshop_bot", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/telegram/SHOP_BOT", 404, errNotFound.Detail, ""},
		{"POST", "/webhooks/telegram/shop_bot%7Cother-bot", 404, errNotFound.Detail, ""},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			r, err := http.NewRequest(test.method, ts.url+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			a := ts.do(t, r)
			a.check(t, test.status, test.detail)
			if got := a.header.Get("Allow"); got != test.allow {
				t.Errorf("Allow = %q, want %q", got, test.allow)
			}
		})
	}
}

// The series exist before the first rejection, for dashboards.
func TestSignatureMetricsFromTheStart(t *testing.T) {
	ts := newTestServer(t, nil)
	got, err := testutil.GatherAndCount(ts.reg, "gateway_signature_failures_total")
	if want := len(signatureRejections) - 1 + len(tokenRejections); err != nil || got != want { // two are mismatches
		t.Errorf("%d series, %v; want %d", got, err, want)
	}
}

// Without bots there is no webhook for Telegram at all.
func TestTelegramWithoutBots(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.TelegramSecrets = nil })
	ts.update(t, testBot, []byte(okUpdate), nil).check(t, 404, errNotFound.Detail)
	ts.update(t, "", []byte(okUpdate), nil).check(t, 404, errNotFound.Detail)
}

func TestTelegramRefusals(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.MaxBodyBytes = 1 << 10 })
	large := []byte(okUpdate + strings.Repeat(" ", 1<<10))
	ts.update(t, testBot, large, nil).check(t, 413, errTooLarge.Detail)
	ts.update(t, testBot, []byte(okUpdate), map[string]string{"Content-Type": "text/plain"}).check(t, 415, errMediaType.Detail)
	r, err := simulate.TelegramRequest(ts.url, testBot, testBotToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body, r.ContentLength = http.NoBody, 0
	ts.do(t, r).check(t, 400, errNotJSON.Detail)
	ts.pub.taken()

	// Without a Content-Length the limit holds while reading.
	if r, err = http.NewRequest(http.MethodPost, ts.url+"/webhooks/telegram/"+testBot, struct{ *bytes.Reader }{bytes.NewReader(large)}); err != nil {
		t.Fatal(err)
	}
	r.Header.Set(headerTelegram, testBotToken)
	ts.do(t, r).check(t, 413, errTooLarge.Detail)
	if got := ts.pub.taken(); len(got) > 0 {
		t.Errorf("published %v", got)
	}
}

func TestTelegramNotJSON(t *testing.T) {
	ts := newTestServer(t, nil)
	for body, detail := range map[string]string{
		"":                       "the body is empty",
		"hello":                  "not JSON at byte 0: ",
		"[" + okUpdate + "]":     "the body is JSON, but not an object",
		"5":                      "the body is JSON, but not an object",
		"null":                   "the body is JSON, but not an object",
		okUpdate + okUpdate:      "more than one JSON value",
		okUpdate[:50]:            "not JSON at byte 50: ",
		strings.Repeat("[", 1e5): "not JSON at byte 10000: ",
	} {
		t.Run(fmt.Sprintf("%.20s", body), func(t *testing.T) {
			ts.update(t, testBot, []byte(body), nil).check(t, 400, errNotJSON.Detail)
			got := ts.pub.taken()
			if len(got) != 1 || got[0].Subject != "deadletter.postback.v1.telegram.not_json" {
				t.Fatalf("got %v", got)
			}
			var d schema.DeadLetter
			if err := json.Unmarshal(got[0].Data, &d); err != nil {
				t.Fatal(err)
			}
			if kept, err := d.Bytes(); err != nil || string(kept) != body || !strings.HasPrefix(d.Detail, detail) {
				t.Errorf("kept %q, %v, %q", kept, err, d.Detail)
			}
		})
	}
}

// TestTelegramUpdates: an update is stored, ignored, or becomes a dead letter that says
// why. The response is always 200.
func TestTelegramUpdates(t *testing.T) {
	ts := newTestServer(t, nil)
	const head, person = `"id":"c",`, `"from":{"id":7},`
	callback := func(members string) string { return `{"update_id":1,"callback_query":{` + members + `}}` }
	message := func(members string) string { return `{"update_id":1,"message":{` + members + `}}` }
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	for name, test := range map[string]struct {
		update string
		want   string // "accepted", "ignored", or the detail of the dead letter
	}{
		"empty":                {`{}`, "ignored"},
		"update id alone":      {`{"update_id":1}`, "ignored"},
		"unknown":              {`{"update_id":{},"something":[1]}`, "ignored"},
		"deep unknown":         {`{"something":` + deep + `}`, "ignored"},
		"text of a wrong type": {message(`"text":{"a":1},"from":5`), "ignored"},
		"text, odd person":     {message(`"text":"hi","from":5`), "ignored"},
		"no text":              {message(`"photo":[]`), "ignored"},
		"game":                 {callback(`"id":5,"game_short_name":"chess"`), "ignored"},
		"callback":             {callback(head + person + `"data":"a"`), "accepted"},
		"unknown fields":       {callback(head + person + `"data":"a","x":{"y":[1]}`), "accepted"},
		"no data":              {callback(head + person + `"chat_instance":"1"`), "accepted"},
		"no id":                {callback(person + `"data":"a"`), "accepted"},
		"number id":            {callback(`"id":4382,` + person + `"data":"a"`), "accepted"},
		"null message":         {callback(head + person + `"data":"a","message":null`), "accepted"},
		"empty message":        {callback(head + person + `"data":"a","message":{}`), "accepted"},
		"empty keyboard":       {callback(head + person + `"data":"a","message":{"reply_markup":{}}`), "accepted"},
		"half a surrogate":     {callback(head + person + `"data":"a\ud83d"`), "accepted"},
		"same name twice":      {callback(head + person + `"data":"a","data":"b"`), "accepted"},
		"start":                {message(person + `"text":"/start"`), "accepted"},
		"start, escaped":       {message(person + `"text":"\/start\u0020x"`), "accepted"},
		"callback null":        {`{"callback_query":null}`, "callback_query has to be an object, this is a JSON null"},
		"callback text":        {`{"callback_query":"what"}`, "callback_query has to be an object, this is a JSON string"},
		"message number":       {`{"message":5}`, "message has to be an object, this is a JSON number"},
		"data number":          {callback(head + person + `"data":5`), "callback_query/data has to be a string, this is a JSON number"},
		"id object":            {callback(person + `"id":{}`), "callback_query/id has to be a string, this is a JSON object"},
		"id fraction":          {callback(person + `"id":1.5`), "callback_query/id has to be a string or an integer"},
		"person text":          {callback(head + `"from":"me"`), "callback_query/from has to be an object, this is a JSON string"},
		"person id fraction":   {callback(head + `"from":{"id":1e3}`), "callback_query/from/id has to be a string or an integer"},
		"no person":            {callback(head + `"data":"a"`), "no user: expected an id or a user_ref"},
		"keyboard text":        {callback(head + person + `"data":"a","message":{"reply_markup":{"inline_keyboard":["a"]}}`), "accepted"},
		"message text":         {callback(head + person + `"data":"a","message":"x","inline_message_id":[]`), "accepted"},
		"start, person text":   {message(`"text":"/start","from":"me"`), "message/from has to be an object, this is a JSON string"},
		"start, no person":     {message(`"text":"/start"`), "no user: expected an id or a user_ref"},
		"start, entities text": {message(person + `"text":"/start","entities":"bold"`), "message/entities has to be an array, this is a JSON string"},
		"long id":              {callback(`"id":"` + strings.Repeat("9", 256) + `",` + person + `"data":"a"`), "id of 256 bytes: expected at most 255"},
		"id with line break":   {callback(`"id":"a\r\nNats-Rollup: all",` + person + `"data":"a"`), `id "a\r\nNats-Rollup: all": expected no control characters and no white space at its ends`},
		"not UTF-8":            {callback(head + person + `"data":"a` + "\xff" + `"`), "the item is not UTF-8, which every JSON text has to be"},
		"not UTF-8, no click":  {message(`"text":"` + "\xff" + `"`), "ignored"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ts.update(t, testBot, []byte(test.update), nil)
			checkOneItem(t, ts.pub.taken(), a, schema.Telegram, test.update, test.want)
		})
	}
}

// checkOneItem checks the result of a delivery with one item.
func checkOneItem(t *testing.T, got []schema.Message, a answer, platform, item, want string) {
	t.Helper()
	var c counts
	switch want {
	case "ignored":
		c.ignored++
	case "accepted":
		c.accepted++
	default:
		c.rejected++
	}
	if a.status != 200 || a.body != string(c.json()) {
		t.Fatalf("got %d %s, want %s", a.status, a.body, c.json())
	}
	if len(got) != c.accepted+c.rejected {
		t.Fatalf("published %v", got)
	}
	for _, m := range got {
		checkMessage(t, m)
		if c.rejected > 0 {
			checkRejectedBy(t, m, platform, item, want)
		}
	}
}

func checkRejectedBy(t *testing.T, m schema.Message, platform, item, detail string) {
	t.Helper()
	var d schema.DeadLetter
	if err := json.Unmarshal(m.Data, &d); err != nil {
		t.Fatal(err)
	}
	body, err := d.Bytes()
	if err != nil || d.Reason != schema.ReasonMalformed || d.Detail != detail || string(body) != item {
		t.Errorf("got %s %q of %s, want %q", d.Reason, d.Detail, body, detail)
	}
	if m.Subject != "deadletter.postback.v1."+platform+".malformed_item" {
		t.Errorf("subject %s", m.Subject)
	}
}

// The same update always has the same id, and two taps have two.
func TestTelegramIDs(t *testing.T) {
	ts := newTestServer(t, nil)
	const start = `{"update_id":%d,"message":{"message_id":%d,"date":%d,"from":{"id":7},"chat":{"id":-100},"text":"/start%s"}}`
	derived := func(message, date string, kind schema.Kind, payload, ref string) string {
		return "telegram:shop_bot:" + schema.DeriveID(schema.Identity{Platform: "telegram", Account: testBot,
			User: schema.User{ID: "7"}, Timestamp: date, Kind: kind, Payload: payload, Ref: ref, MessageID: message})
	}
	for _, test := range []struct{ update, want string }{
		{okUpdate, "telegram:shop_bot:c1"},
		{fmt.Sprintf(start, 1, 6, 1770000001, ""), derived("6", "1770000001", schema.KindButton, "/start", "")},
		{fmt.Sprintf(start, 2, 6, 1770000001, ""), derived("6", "1770000001", schema.KindButton, "/start", "")},
		{fmt.Sprintf(start, 2, 7, 1770000001, ""), derived("7", "1770000001", schema.KindButton, "/start", "")},
		{fmt.Sprintf(start, 2, 0, 1770000001, ""), derived("", "1770000001", schema.KindButton, "/start", "")},
		{fmt.Sprintf(start, 2, 6, 1770000002, ""), derived("6", "1770000002", schema.KindButton, "/start", "")},
		{fmt.Sprintf(start, 2, 6, 1770000002, " a"), derived("6", "1770000002", schema.KindReferral, "", "a")},
		{strings.Replace(okUpdate, `"id":"c1",`, "", 1), derived("", "", schema.KindInlineButton, "plan:pro", "")},
	} {
		ts.update(t, testBot, []byte(test.update), nil)
		if got := ts.pub.taken(); len(got) != 1 || got[0].ID != test.want {
			t.Errorf("%s: got %v, want %s", test.update, got, test.want)
		}
	}
}

// A callback has no time, so its age is not counted.
func TestTelegramTime(t *testing.T) {
	b := &batch{account: testBot, receivedAt: testNow}
	decodeTelegram(b, []byte(okUpdate))
	if item := b.items[0]; !item.Event.Time.Equal(testNow) || !item.Undated {
		t.Errorf("callback: at %v, undated: %t", item.Event.Time, item.Undated)
	}
	decodeTelegram(b, []byte(`{"message":{"date":1770000001,"from":{"id":7},"text":"/start"}}`))
	if item := b.items[1]; item.Event.Time.Unix() != 1770000001 || item.Undated {
		t.Errorf("start: at %v, undated: %t", item.Event.Time, item.Undated)
	}
}

func TestTelegramConfig(t *testing.T) {
	for want, secret := range map[string]TelegramSecret{
		`the name "my/bot" of a Telegram bot: expected 1 to 128 letters, digits, _ and -`:                          {"my/bot", "t"},
		`the name "" of a Telegram bot: expected 1 to 128 letters, digits, _ and -`:                                {"", "t"},
		`the name "` + strings.Repeat("b", 40) + `" of a Telegram bot: expected 1 to 128 letters, digits, _ and -`: {strings.Repeat("b", 129), "t"},
		`the secret token of the Telegram bot bot is empty: anybody could send it`:                                 {"bot", ""},
	} {
		cfg := testConfig()
		cfg.TelegramSecrets = []TelegramSecret{testBots[0], secret}
		if err := cfg.check(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
