package ingest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/schema"
)

// TestInteractions: on both platforms, the members of an item decide which kind of event
// it is.
func TestInteractions(t *testing.T) {
	ts := newTestServer(t, nil)
	const referral = `"referral":{"ref":"r"}`
	for name, test := range map[string]struct {
		item string // without sender and recipient
		want string // kind, id, payload, ref; or ignored; or the detail of the dead letter
	}{
		"postback":                      {`"postback":{"mid":"m","payload":"p"}`, "button m p "},
		"postback with referral":        {`"postback":{"mid":"m","payload":"p",` + referral + `}`, "button m p r"},
		"postback beside referral":      {`"postback":{"mid":"m","payload":"p"},` + referral, "button m p r"},
		"postback, two referrals":       {`"postback":{"mid":"m","payload":"p",` + referral + `},"referral":{"ref":"x"}`, "button m p r"},
		"postback before quick reply":   {`"message":{"mid":"n","quick_reply":{"payload":"q"}},"postback":{"mid":"m","payload":"p"}`, "button m p "},
		"postback of the account":       {`"is_self":true,"postback":{"mid":"m","payload":"p"}`, "button m p "},
		"quick reply":                   {`"message":{"mid":"m","text":"T","quick_reply":{"payload":"p"}}`, "quick_reply m p "},
		"quick reply without payload":   {`"message":{"mid":"m","text":"T","quick_reply":{}}`, "quick_reply m  "},
		"quick reply with referral":     {`"message":{"mid":"m","quick_reply":{"payload":"p"},` + referral + `}`, "quick_reply m p r"},
		"quick reply beside referral":   {`"message":{"mid":"m","quick_reply":{"payload":"p"}},` + referral, "quick_reply m p r"},
		"quick reply, no referral":      {`"message":{"mid":"m","quick_reply":{"payload":"p"},"referral":null}`, "quick_reply m p "},
		"quick reply, no echo":          {`"message":{"mid":"m","is_echo":false,"quick_reply":{"payload":"p"}}`, "quick_reply m p "},
		"quick reply null":              {`"message":{"mid":"m","quick_reply":null}`, "message/quick_reply has to be an object, this is a JSON null"},
		"quick reply text":              {`"message":{"mid":"m","quick_reply":"p"}`, "message/quick_reply has to be an object, this is a JSON string"},
		"quick reply, payload number":   {`"message":{"mid":"m","quick_reply":{"payload":5}}`, "message/quick_reply/payload has to be a string, this is a JSON number"},
		"quick reply, text object":      {`"message":{"mid":"m","text":{},"quick_reply":{"payload":"p"}}`, "message/text has to be a string, this is a JSON object"},
		"quick reply, echo unclear":     {`"message":{"mid":"m","is_echo":"no","quick_reply":{"payload":"p"}}`, "message/is_echo has to be a boolean, this is a JSON string"},
		"message text":                  {`"message":"hello"`, "message has to be an object, this is a JSON string"},
		"message null":                  {`"message":null`, "ignored"},
		"text":                          {`"message":{"mid":"m","text":"p"}`, "ignored"},
		"text, malformed":               {`"message":{"mid":{},"text":["p"]}`, "ignored"},
		"text, no referral":             {`"message":{"mid":"m","text":"p","referral":null}`, "ignored"},
		"text with referral":            {`"message":{"mid":"m","text":"p",` + referral + `}`, "referral m  r"},
		"text beside referral":          {`"message":{"mid":"m","text":"p"},` + referral, "referral m  r"},
		"text, malformed referral":      {`"message":{"mid":"m","text":"p","referral":"r"}`, "message/referral has to be an object, this is a JSON string"},
		"echo":                          {`"message":{"mid":"m","is_echo":true,"text":"p","quick_reply":{"payload":"p"},` + referral + `}`, "ignored"},
		"echo, malformed":               {`"message":{"mid":"m","is_echo":true,"text":5,"quick_reply":{"payload":"p"}}`, "ignored"},
		"echo beside referral":          {`"message":{"mid":"m","is_echo":true},` + referral, "referral   r"},
		"referral":                      {referral, "referral   r"},
		"referral without ref":          {`"referral":{"source":"ADS"}`, "referral   "},
		"referral null":                 {`"referral":null`, "referral has to be an object, this is a JSON null"},
		"referral, ref object":          {`"referral":{"ref":{}}`, "referral/ref has to be a string, this is a JSON object"},
		"referral, ref number":          {`"referral":{"ref":42}`, "referral   42"},
		"optin":                         {`"optin":{"ref":"r"}`, "optin   r"},
		"optin of the bot's own":        {`"optin":{"type":"notification_messages","payload":"p","title":"T"}`, "optin  p "},
		"optin, payload and ref":        {`"optin":{"payload":"p","ref":"r"}`, "optin  p r"},
		"optin of nothing":              {`"optin":{}`, "optin   "},
		"optin text":                    {`"optin":"r"`, "optin has to be an object, this is a JSON string"},
		"optin before referral":         {`"optin":{"ref":"r"},"referral":{"ref":"x"}`, "optin   r"},
		"optin, payload object":         {`"optin":{"payload":{}}`, "optin/payload has to be a string, this is a JSON object"},
		"reaction":                      {`"reaction":{"mid":"m","action":"react"}`, "ignored"},
		"interaction in another's name": {`"postbacks":{"payload":"p"},"Postback":{"payload":"p"}`, "ignored"},
	} {
		for object, platform := range map[string]string{"page": schema.Messenger, "instagram": schema.Instagram} {
			t.Run(platform+"/"+name, func(t *testing.T) {
				item := `{"sender":{"id":"u"},"recipient":{"id":"1"},"timestamp":1700000000000,` + test.item + `}`
				a := ts.post(t, []byte(amongGoodOf(object, item)), nil)
				if a.status != 200 {
					t.Fatalf("answered %d %s", a.status, a.body)
				}
				if got := summary(t, ts.pub.taken(), platform); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		}
	}
}

// summary describes the result of the item between two good ones.
func summary(t *testing.T, messages []schema.Message, platform string) string {
	t.Helper()
	for _, m := range messages {
		checkMessage(t, m)
	}
	if len(messages) == 2 {
		return "ignored"
	}
	m := messages[1]
	var letter schema.DeadLetter
	if m.DeadLetter != "" {
		if err := json.Unmarshal(m.Data, &letter); err != nil || letter.Platform != platform {
			t.Errorf("dead letter %s: %v", m.Data, err)
		}
		return letter.Detail
	}
	var e schema.Event
	if err := json.Unmarshal(m.Data, &e); err != nil || e.Data.Platform != platform {
		t.Errorf("event %s: %v", m.Data, err)
	}
	payload, ref := "", ""
	if p := e.Data.Payload; p != nil {
		payload = p.Raw
	}
	if r := e.Data.Referral; r != nil {
		ref = r.Ref
	}
	return strings.Join([]string{string(e.Data.Kind), e.Data.MessageID, payload, ref}, " ")
}

// TestChanges: an item in a change or in a sample is decoded like one in a list. In
// addition, the field says which kind of event it has to be.
func TestChanges(t *testing.T) {
	ts := newTestServer(t, nil)
	const head = `{"sender":{"id":"u"},"recipient":{"id":"2"},"timestamp":1700000000000`
	const quickReply = head + `,"message":{"mid":"m","quick_reply":{"payload":"p"}}}`
	for change, want := range map[string]string{
		`{"field":"messages","value":` + quickReply + `}`:                              "quick_reply m p ",
		`{"value":` + quickReply + `,"field":"messages"}`:                              "quick_reply m p ",
		`{"field":"messaging\u005fpostbacks","value":` + quickReply + `}`:              "quick_reply m p ",
		`{"field":"messaging_postbacks","value":` + head + `,"postback":{"mid":"m"}}}`: "button m  ",
		`{"field":"messaging_referrals","value":` + head + `,"referral":{"ref":"r"}}}`: "referral   r",
		`{"field":"messaging_referral","value":` + head + `,"referral":{"ref":"r"}}}`:  "referral   r",
		`{"field":"messaging_optins","value":` + head + `,"optin":{"ref":"r"}}}`:       "optin   r",
		`{"field":"standby","value":` + head + `,"postback":{"mid":"m","title":"T"}}}`: "button m  ",
		`{"field":"messages","value":` + head + `,"message":{"mid":"m","text":"hi"}}}`: "ignored",
		`{"field":"messages"}`:              "ignored",
		`{"field":"messages","value":null}`: "ignored",
		`{"field":"comments","value":5}`:    "ignored",
		`{"field":"standby","value":5}`:     "value has to be an object, this is a JSON number",
		`{"field":"messages","value":` + head + `,"message":{"mid":{},"quick_reply":{}}}}`: "value/message/mid has to be a string, this is a JSON object",
		`{"field":"messages","value":` + head + `,"message":{"mid":{},"text":"hi"}}}`:      "ignored",
		`{"field":"messaging_postbacks","value":` + head + `}}`:                            "value/postback is missing",
		`{"field":"messaging_referrals","value":` + head + `}}`:                            "value/referral is missing",
		`{"field":"messaging_referral","value":` + head + `}}`:                             "value/referral is missing",
		`{"field":"messaging_optins","value":` + head + `}}`:                               "value/optin is missing",
		`{"value":` + quickReply + `}`:                                                     "field is missing",
		`{"field":null,"value":` + quickReply + `}`:                                        "field is missing",
		`{"field":5,"value":` + quickReply + `}`:                                           "field has to be a string, this is a JSON number",
	} {
		for object, platform := range map[string]string{"page": schema.Messenger, "instagram": schema.Instagram} {
			t.Run(platform+"/"+change, func(t *testing.T) {
				good := func(n string) string {
					return `{"field":"messaging_postbacks","value":` + head + `,"postback":{"mid":"` + n + `"}}}`
				}
				a := ts.post(t, []byte(`{"object":"`+object+`","entry":[{"id":"1","changes":[`+good("g1")+`,`+change+`,`+good("g2")+`]}]}`), nil)
				if a.status != 200 {
					t.Fatalf("answered %d %s", a.status, a.body)
				}
				if got := summary(t, ts.pub.taken(), platform); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}

// TestAccount: a page is named by the item and an Instagram account by the entry. If that
// is missing, the other one is used.
func TestAccount(t *testing.T) {
	ts := newTestServer(t, nil)
	const item = `"sender":{"id":"u"},"postback":{"mid":"m"}}]}]}`
	for body, want := range map[string]string{
		`{"object":"page","entry":[{"id":"1","messaging":[{"recipient":{"id":"2"},` + item:      "messenger:2:m",
		`{"object":"page","entry":[{"id":"1","messaging":[{` + item:                             "messenger:1:m",
		`{"object":"page","entry":[{"messaging":[{"recipient":{"id":"2"},` + item:               "messenger:2:m",
		`{"object":"instagram","entry":[{"id":"1","messaging":[{"recipient":{"id":"2"},` + item: "instagram:1:m",
		`{"object":"instagram","entry":[{"id":"1","messaging":[{` + item:                        "instagram:1:m",
		`{"object":"instagram","entry":[{"messaging":[{"recipient":{"id":"2"},` + item:          "instagram:2:m",
		`{"object":"instagram","entry":[{"id":"1","standby":[{"recipient":{"id":"2"},` + item:   "instagram:1:m:standby",
	} {
		ts.post(t, []byte(body), nil)
		if got := ts.pub.taken(); len(got) != 1 || got[0].ID != want {
			t.Errorf("%s: got %v, want %s", body, got, want)
		}
	}
}
