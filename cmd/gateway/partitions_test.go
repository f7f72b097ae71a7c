package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

// TestPartitions: the commands find what was stored with and without partitions, and a
// click that comes again after the change is a duplicate.
func TestPartitions(t *testing.T) {
	dir := t.TempDir()
	post := func(p *gatewayProcess, user, payload, want string) {
		t.Helper()
		click := simulate.Click{Account: "1", User: user, Payload: payload, ID: user + payload}
		if status, text := p.post(p.secret(), simulate.Messenger(click)); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s %s: answered %d %s", user, payload, status, text)
		}
	}
	p := startGateway(t, dir)
	post(p, "1001", "plan:pro", `"accepted":1`)
	post(p, "1002", "plan:pro", `"accepted":1`)
	p.terminate()

	p = startGateway(t, dir, "GATEWAY_PARTITIONS=3")
	post(p, "1001", "plan:pro", `"duplicates":1`)
	post(p, "1001", "pay", `"accepted":1`)
	post(p, "1003", "plan:pro", `"accepted":1`)
	post(p, "1003", "pay", `"accepted":1`)
	for args, want := range map[string]string{
		"stats plan:pro --json":                    `{"groups":[{"prefix":"plan","action":"pro","events":3}],"total":3}`,
		"stats --by prefix --since 1d --json":      `{"groups":[{"prefix":"plan","events":3},{"prefix":"pay","events":2}],"total":5}`,
		"funnel plan.pro pay --json":               `"people":2`,
		"tail plan:pro --no-follow":                "messenger.1.plan.pro.p1  button",
		"tail postback.v1.*.*.*.*.p0 --no-follow":  "1001",
		"tail postback.v1.*.*.pay._.* --no-follow": "1003",
		"unclaimed":               "postback.v1.messenger.1.plan.pro     2 ",
		"forget messenger:1:1001": "embedded  POSTBACKS             2",
	} {
		if text, status := p.run(strings.Fields(args)...); status != exitDone || !strings.Contains(text, want) {
			t.Errorf("gateway %s: status %d\n%s", args, status, text)
		}
	}
	p.terminate()
}
