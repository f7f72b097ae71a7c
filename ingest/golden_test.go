package ingest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/schema"
	"github.com/postback-gateway/gateway/schema/schematest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden is the result of one delivery: the response and every message.
type golden struct {
	Answer   json.RawMessage `json:"answer"`
	Messages []goldenMessage `json:"messages"`
}

type goldenMessage struct {
	Subject   string          `json:"subject"`
	NatsMsgID string          `json:"nats_msg_id"`
	Data      json.RawMessage `json:"data"`
}

func checkMessage(t testing.TB, m schema.Message) {
	t.Helper()
	if m.DeadLetter == "" {
		schematest.Event(t, m.Data)
		schematest.Subject(t, m.Subject)
	} else if !strings.HasPrefix(m.Subject, "deadletter.postback.v1.") {
		t.Errorf("subject of a dead letter: %q", m.Subject)
	}
}

// sample is a delivery in testdata. The folder is the platform.
type sample struct {
	folder, file string
	body         []byte
}

func (d sample) name() string { return d.folder + "/" + d.file }

func (d sample) golden() string { return "testdata/" + d.name() + ".golden.json" }

// deliveries returns all bodies in testdata.
func deliveries(t testing.TB) []sample {
	t.Helper()
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no deliveries in testdata: %v", err)
	}
	var all []sample
	for _, file := range files {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sample{filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".json"), body})
	}
	return all
}

// TestGolden posts every delivery in testdata and compares the result with the golden
// file next to it.
func TestGolden(t *testing.T) {
	ts := newTestServer(t, nil)
	for _, file := range deliveries(t) {
		t.Run(file.name(), func(t *testing.T) {
			a := ts.deliver(t, file)
			got := golden{Answer: json.RawMessage(a.body)}
			for _, m := range ts.pub.taken() {
				checkMessage(t, m)
				got.Messages = append(got.Messages, goldenMessage{m.Subject, m.ID, m.Data})
			}
			compareGolden(t, file.golden(), got)
		})
	}
}

func compareGolden(t *testing.T, file string, got golden) {
	t.Helper()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text.Bytes(), want) {
		t.Errorf("got %s\nwant %s", text.Bytes(), want)
	}
}

// amongGood puts one item of entry[].messaging of a page between two good ones.
func amongGood(item string) string { return amongGoodOf("page", item) }

func amongGoodOf(object, item string) string {
	good := func(n int) string {
		return fmt.Sprintf(`{"sender":{"id":"u"},"recipient":{"id":"1"},"timestamp":170000000000%d,"postback":{"mid":"good_%d","payload":"ok:%d"}}`, n, n, n)
	}
	return `{"object":"` + object + `","entry":[{"id":"1","time":1700000000000,"messaging":[` + good(1) + "," + item + "," + good(2) + `]}]}`
}

// TestItems: an item is stored, ignored, or becomes a dead letter that says why. Its
// neighbours are always stored.
func TestItems(t *testing.T) {
	ts := newTestServer(t, nil)
	const head = `"sender":{"id":"u"},"recipient":{"id":"1"},"timestamp":1700000000000,`
	deep := strings.Repeat("[", 51) + strings.Repeat("]", 51)
	for name, test := range map[string]struct {
		item string
		want string // counts of the item, or the detail of its dead letter
	}{
		"message":                  {`{` + head + `"message":{"mid":"x","text":"hi"}}`, "ignored"},
		"message, odd sender":      {`{"sender":5,"message":{"mid":"x","text":"hi"}}`, "ignored"},
		"read":                     {`{` + head + `"read":{"watermark":1}}`, "ignored"},
		"unknown":                  {`{"anything":[{"at":"all"}]}`, "ignored"},
		"empty":                    {`{}`, "ignored"},
		"unknown fields":           {`{` + head + `"x":{"y":[1]},"postback":{"mid":"m","payload":"a","z":null}}`, "accepted"},
		"no payload":               {`{` + head + `"postback":{"mid":"m","title":"T"}}`, "accepted"},
		"null fields":              {`{` + head + `"postback":{"mid":null,"title":null,"payload":null,"referral":null}}`, "accepted"},
		"no mid":                   {`{` + head + `"postback":{"payload":"a"}}`, "accepted"},
		"number ids":               {`{"sender":{"id":1254459154682919},"recipient":{"id":1},"timestamp":1,"postback":{"mid":7,"payload":"a"}}`, "accepted"},
		"account of the entry":     {`{"sender":{"id":"u"},"postback":{"mid":"m","payload":"a"}}`, "accepted"},
		"timestamp of no use":      {`{"sender":{"id":"u"},"timestamp":{"a":1},"postback":{"mid":"m","payload":"a"}}`, "accepted"},
		"half a surrogate pair":    {`{` + head + `"postback":{"mid":"m","title":"\ud83d","payload":"a"}}`, "accepted"},
		"same name twice":          {`{` + head + `"postback":{"mid":"m","mid":"n","payload":"a"}}`, "accepted"},
		"number":                   {`5`, "an item has to be an object, this is a JSON number"},
		"null":                     {`null`, "an item has to be an object, this is a JSON null"},
		"postback null":            {`{` + head + `"postback":null}`, "postback has to be an object, this is a JSON null"},
		"postback text":            {`{` + head + `"postback":"what"}`, "postback has to be an object, this is a JSON string"},
		"payload object":           {`{` + head + `"postback":{"payload":{"a":1}}}`, "postback/payload has to be a string, this is a JSON object"},
		"payload number":           {`{` + head + `"postback":{"payload":5}}`, "postback/payload has to be a string, this is a JSON number"},
		"title array":              {`{` + head + `"postback":{"title":["x"]}}`, "postback/title has to be a string, this is a JSON array"},
		"mid object":               {`{` + head + `"postback":{"mid":{}}}`, "postback/mid has to be a string, this is a JSON object"},
		"mid fraction":             {`{` + head + `"postback":{"mid":1.5}}`, "postback/mid has to be a string or an integer"},
		"referral text":            {`{` + head + `"postback":{"mid":"m","referral":"x"}}`, "postback/referral has to be an object, this is a JSON string"},
		"ref boolean":              {`{` + head + `"postback":{"mid":"m","referral":{"ref":true}}}`, "postback/referral/ref has to be a string, this is a JSON boolean"},
		"sender text":              {`{"sender":"u","postback":{"mid":"m"}}`, "sender has to be an object, this is a JSON string"},
		"no sender":                {`{"recipient":{"id":"1"},"postback":{"mid":"m"}}`, "no user: expected an id or a user_ref"},
		"sender null":              {`{"sender":null,"postback":{"mid":"m"}}`, "no user: expected an id or a user_ref"},
		"long account":             {`{"sender":{"id":"u"},"recipient":{"id":"` + strings.Repeat("9", 129) + `"},"postback":{"mid":"m"}}`, "account of 129 bytes: expected at most 128"},
		"long mid":                 {`{` + head + `"postback":{"mid":"` + strings.Repeat("m", 256) + `"}}`, "id of 256 bytes: expected at most 255"},
		"mid with line break":      {`{` + head + `"postback":{"mid":"m\r\nNats-Rollup: all"}}`, `id "m\r\nNats-Rollup: all": expected no control characters and no white space at its ends`},
		"not UTF-8":                {`{` + head + `"postback":{"mid":"m","payload":"a` + "\xff" + `"}}`, "the item is not UTF-8, which every JSON text has to be"},
		"deep field of a referral": {`{` + head + `"postback":{"mid":"m","referral":{"x":` + deep + `}}}`, "accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ts.post(t, []byte(amongGood(test.item)), nil)
			got := ts.pub.taken()
			want := counts{accepted: 2}
			switch test.want {
			case "ignored":
				want.ignored++
			case "accepted":
				want.accepted++
			default:
				want.rejected++
				checkRejected(t, got[1], test.item, test.want)
			}
			if a.status != 200 || a.body != string(want.json()) {
				t.Errorf("got %d %s, want %s", a.status, a.body, want.json())
			}
			for _, m := range got {
				checkMessage(t, m)
			}
			if first, last := got[0], got[len(got)-1]; first.ID != "messenger:1:good_1" || last.ID != "messenger:1:good_2" {
				t.Errorf("not in order: %v", got)
			}
		})
	}
}

func checkRejected(t *testing.T, m schema.Message, item, detail string) {
	t.Helper()
	var d schema.DeadLetter
	if err := json.Unmarshal(m.Data, &d); err != nil {
		t.Fatal(err)
	}
	body, err := d.Bytes()
	if err != nil || d.Reason != schema.ReasonMalformed || d.Detail != detail || string(body) != item {
		t.Errorf("got %s %q of %s, want %q", d.Reason, d.Detail, body, detail)
	}
	if m.Subject != "deadletter.postback.v1.messenger.malformed_item" {
		t.Errorf("subject %s", m.Subject)
	}
}

// TestEnvelopes: the JSON around the items can be malformed as well.
func TestEnvelopes(t *testing.T) {
	ts := newTestServer(t, nil)
	const good = `{"sender":{"id":"u"},"recipient":{"id":"1"},"postback":{"mid":"m","payload":"a"}}`
	const change = `{"field":"messaging_postbacks","value":` + good + `}`
	for body, want := range map[string]counts{
		`{}`:                               {ignored: 1},
		`{"object":"page"}`:                {ignored: 1},
		`{"object":"page","entry":null}`:   {ignored: 1},
		`{"object":"page","entry":[]}`:     {ignored: 1},
		`{"object":"page","entry":"x"}`:    {rejected: 1},
		`{"object":"page","entry":[5,{}]}`: {rejected: 1, ignored: 1},
		`{"object":5,"entry":[]}`:          {ignored: 1},
		`{"object":{},"entry":[]}`:         {rejected: 1},
		`{"object":"user","entry":[{"id":"1","changes":[{"field":"photos"}]}]}`:       {ignored: 1},
		`{"object":"page","entry":[{"id":"1","hop_context":[]}]}`:                     {ignored: 1},
		`{"object":"page","entry":[{"id":"1","messaging":{}}]}`:                       {rejected: 1},
		`{"object":"page","entry":[{"id":"1","messaging":[` + good + `,[]]}]}`:        {accepted: 1, rejected: 1},
		`{"entry":[{"messaging":[` + good + `],"id":"1"}],"object":"page"}`:           {accepted: 1},
		`{"object":"page","entry":[{"id":{},"messaging":[` + good + `]}]}`:            {accepted: 1, rejected: 1},
		`[{"object":"page","entry":[{"id":"1","messaging":[` + good + `]}]}]`:         {accepted: 1},
		` [ 5 , {"object":"page","entry":[{"id":"1","messaging":[` + good + `]}]} ] `: {accepted: 1, rejected: 1},
		change: {accepted: 1},
		`{"value":` + good + `,"field":"messaging_postbacks"}`:                                       {accepted: 1},
		`{"field":"messages","value":{"message":{}}}`:                                                {ignored: 1},
		`{"field":"feed","value":5}`:                                                                 {ignored: 1},
		`{"field":"messaging_postbacks","value":5}`:                                                  {rejected: 1},
		`{"field":"messaging_postbacks","value":null}`:                                               {rejected: 1},
		`{"field":"messaging_postbacks","value":{"sender":{"id":"u"}}}`:                              {rejected: 1},
		`{"object":"page","entry":[{"id":"1","changes":[` + change + `,{"field":"feed"}]}]}`:         {accepted: 1, ignored: 1},
		`{"object":"page","entry":[{"id":"1","standby":[` + good + `],"messaging":[` + good + `]}]}`: {accepted: 2},
	} {
		t.Run(body, func(t *testing.T) {
			a := ts.post(t, []byte(body), nil)
			if a.status != 200 || a.body != string(want.json()) {
				t.Errorf("got %d %s, want %s", a.status, a.body, want.json())
			}
			for _, m := range ts.pub.taken() {
				checkMessage(t, m)
			}
		})
	}
}

func TestIncludeRaw(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.IncludeRaw = true })
	ts.post(t, []byte(okPostback), nil)
	got := ts.pub.taken()
	var e schema.Event
	if err := json.Unmarshal(got[0].Data, &e); err != nil {
		t.Fatal(err)
	}
	checkMessage(t, got[0])
	if want := okPostback[len(`{"object":"page","entry":[{"id":"1","messaging":[`) : len(okPostback)-len(`]}]}`)]; string(e.Data.Raw) != want {
		t.Errorf("got %s\nwant %s", e.Data.Raw, want)
	}
}

// TestNumbersOutOfRange: an event never contains JSON that a consumer cannot decode, and
// the click is kept.
func TestNumbersOutOfRange(t *testing.T) {
	const huge = "1e400"
	for _, body := range []string{
		amongGood(`{"sender":{"id":"u"},"recipient":{"id":"1"},"postback":{"mid":"m","payload":"plan:{\"n\":` + huge + `}"}}`),
		amongGood(`{"sender":{"id":"u"},"recipient":{"id":"1"},"referral":{"ref":"r","odd":` + huge + `}}`),
		amongGood(`{"sender":{"id":"u"},"recipient":{"id":"1"},"unknown":` + huge + `,"postback":{"mid":"m","payload":"plan"}}`),
		amongMessages(`{"id":"w","from":"1","type":"interactive","referral":{"source_type":"ad","odd":[` + huge + `]},"interactive":{"type":"nfm_reply","nfm_reply":{"response_json":"{\"n\":` + huge + `}"}}}`),
	} {
		ts := newTestServer(t, func(c *Config) { c.IncludeRaw = true })
		if a := ts.post(t, []byte(body), nil); a.status != 200 {
			t.Fatalf("%s: got %d", body, a.status)
		}
		messages := ts.pub.taken()
		if len(messages) < 2 {
			t.Errorf("%s: %d messages", body, len(messages))
		}
		for _, m := range messages {
			checkMessage(t, m)
			if m.DeadLetter != "" {
				t.Errorf("not an event: %s", m.Data)
			}
		}
	}
}

func TestParseTime(t *testing.T) {
	for sent, want := range map[timestamp]string{
		"1527459824":      "2018-05-27T22:23:44Z",
		"1502905976377":   "2017-08-16T17:52:56.377Z",
		"99999999999":     "5138-11-16T09:46:39Z",
		"100000000000":    "1973-03-03T09:46:40Z",
		"0":               "1970-01-01T00:00:00Z",
		"1527459824.5":    "2018-05-27T22:23:44.5Z",
		"253402300799999": "9999-12-31T23:59:59.999Z",
		"253402300800000": "", "-1": "", "": "", "yesterday": "", "1e300": "", "Inf": "", "NaN": "", "0x10": "", "1_000": "", " 1": "",
	} {
		at, ok := parseTime(sent)
		if ok != (want != "") || ok && at.Format("2006-01-02T15:04:05.999Z07:00") != want {
			t.Errorf("parseTime(%q) = %v, %t; want %q", sent, at, ok, want)
		}
	}
}
