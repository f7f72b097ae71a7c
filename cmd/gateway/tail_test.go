package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

func TestTail(t *testing.T) {
	p := startGateway(t, t.TempDir())
	for _, payload := range []string{"plan:pro", "rate:5", "plan:free"} {
		if status, text := p.post(p.secret(), simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: payload})); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	p.post(p.secret(), []byte("not JSON"))
	for _, test := range []struct {
		args, want string
		lines      int
	}{
		{"--no-follow", "plan.pro", 3},
		{"plan --no-follow", "plan.free", 2},
		{"plan:pro --no-follow", "plan.pro", 1},
		{"--last 1 --no-follow", "plan.free", 1},
		{"--last 0 --no-follow", "", 0},
		{"plan --last 1 --since 1d", "expected --since or --last, not both", 1},
		{"--since 7d --no-follow", "rate.5", 3},
		{"deadletter.> --no-follow", "not_json", 1},
		{"postback.v1.plan", `gateway: no event can match "postback.v1.plan"`, 1},
		{"--since yesterday", `gateway: invalid argument "yesterday" for "--since" flag: expected a time such as 30m, 24h or 7d (see gateway tail --help)`, 1},
		{"--last -1", `gateway: invalid argument "-1" for "--last" flag: expected a whole number, 0 or more (see gateway tail --help)`, 1},
	} {
		text, _ := p.run(append([]string{"tail"}, strings.Fields(test.args)...)...)
		if strings.Count(text, "\n") != test.lines || !strings.Contains(text, test.want) {
			t.Errorf("tail %s:\n%s", test.args, text)
		}
	}
	p.terminate()
}

// TestShortLines: on a terminal a line fits, and only its own colors get there.
func TestShortLines(t *testing.T) {
	payload, route := schema.ParsePayload("plan:enterprise")
	e, err := schema.New("id", time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), schema.Data{
		Platform: schema.Messenger, Account: schema.Account{ID: "17"}, User: schema.User{ID: "1254159454682919"},
		Kind: schema.KindButton, Channel: schema.ChannelStandby, Title: "Evil \x1b[2J", Payload: &payload,
		Referral: &schema.Referral{Ref: strings.Repeat("long ", 20)},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m := &stream.Message{Subject: schema.Subjects{Root: "postback.v1", Partitions: 3}.Of(e, route), Data: data}
	const plain = `11-28 12:00:00  messenger  plan.enterprise  button  standby  "Evil \x1b[2J"  re…`
	var out strings.Builder
	if err := (eventPrinter{to: &out, short: true}).print(m); err != nil || out.String() != plain+"\n" {
		t.Errorf("got  %s\nwant %s (%v)", out.String(), plain, err)
	}
	if n := len([]rune(plain)); n != lineWidth {
		t.Errorf("%d columns", n)
	}
	out.Reset()
	if err := (eventPrinter{to: &out, short: true, color: true}).print(m); err != nil {
		t.Fatal(err)
	}
	colored := out.String()
	for _, style := range []string{styleDim, styleBold, styleWarn, styleReset} {
		if !strings.Contains(colored, style) {
			t.Errorf("no %q in %q", style, colored)
		}
		colored = strings.ReplaceAll(colored, style, "")
	}
	if colored != plain+"\n" {
		t.Errorf("colors change the text: %q", colored)
	}
}
