package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

func TestStats(t *testing.T) {
	p := startGateway(t, t.TempDir())
	long := strings.Repeat("p", 48) + ":" + strings.Repeat("x", 48)
	for i, payload := range []string{"plan:pro", "plan:pro", "plan:pro", "rate:5", long} {
		click := simulate.Click{Account: "1", User: "u", Payload: payload, ID: string(rune('a' + i))}
		if status, text := p.post(p.secret(), simulate.Messenger(click)); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	for _, test := range []struct{ args, want string }{
		{"", "EVENTS  SHARE  PREFIX                           ACTION\n3       60.0%  plan                             pro\n"},
		{"--by prefix", "\n3       60.0%  plan\n"},
		{"plan --since 1d", "EVENTS  SHARE   PREFIX  ACTION\n3       100.0%  plan    pro\n3               in all\n"},
		{"plan --json", `{"groups":[{"prefix":"plan","action":"pro","events":3}],"total":3}` + "\n"},
		{"postback.v1.plan", `gateway: no event can match "postback.v1.plan"`},
		{"deadletter.>", "selects no events"},
		{"--by color", `gateway: --by "color": expected some of platform,account,prefix,action (see gateway stats --help)`},
		{"--since yesterday", `invalid argument "yesterday" for "--since" flag: expected a time such as 30m, 24h or 7d`},
	} {
		text, status := p.run(append([]string{"stats"}, strings.Fields(test.args)...)...)
		if !strings.Contains(text, test.want) || (status != exitDone) != strings.HasPrefix(text, "gateway:") {
			t.Errorf("stats %s: status %d\n%s", test.args, status, text)
		}
		if status == exitDone && !strings.Contains(test.args, "--json") {
			p.checkWidth(text)
		}
	}
	p.terminate()
}
