package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/erase"
	"github.com/postback-gateway/gateway/publish/natstest"
)

func TestForgetCommandLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "forget takes at least one PLATFORM:ACCOUNT:USER, or --platform and --user"},
		{[]string{"messenger:1"}, `"messenger:1" does not name a person: expected PLATFORM:ACCOUNT:USER, an event's partitionkey`},
		{[]string{"messenger::u"}, `"messenger::u" does not name a person: expected PLATFORM:ACCOUNT:USER, an event's partitionkey`},
		{[]string{"facebook:1:u"}, `platform "facebook" is unknown: expected one of messenger, instagram, whatsapp, telegram`},
		{[]string{"--user", "u"}, "expected --platform and --user together"},
		{[]string{"--platform", "messenger"}, "expected --platform and --user together"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			setenv(t, nil)
			status, stdout, stderr := runGateway(append([]string{"forget"}, test.args...)...)
			if want := "gateway: " + test.want + " (see gateway forget --help)\n"; status != exitUsage || stdout != "" || stderr != want {
				t.Errorf("status %d, stdout %q\ngot:  %swant: %s", status, stdout, stderr, want)
			}
		})
	}
	setenv(t, env("EMBEDDED_LISTEN", "off"))
	if status, _, stderr := runGateway("forget", "messenger:1:u"); status != exitFailed || !strings.Contains(stderr, "GATEWAY_EMBEDDED_LISTEN=off") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// TestForget erases one of two people from a running gateway: events, unclaimed
// ones and dead letters. What the platform delivers again stays a duplicate.
func TestForget(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_FALLBACK=true")
	p.awaitFallback()
	unclaimed := consume(t, p.at.NATS, "POSTBACKS_UNCLAIMED")
	click := simulate.Click{Account: "1", User: "1001", Payload: "plan:pro", ID: "m_1"}
	p.mustPost(simulate.Messenger(click), simulate.Messenger(simulate.Click{Account: "1", User: "1002", Payload: "plan:pro", ID: "m_2"}),
		[]byte(`{"object":"page","entry":[{"id":"1","messaging":[{"sender":{"id":"1001"},"postback":"x"}]}]}`))
	unclaimed.next()
	unclaimed.next()

	table, said := p.command("forget", "--yes", "messenger:1:100*", "messenger:*:>")
	wantTable(t, table, "embedded POSTBACKS 0", "embedded POSTBACKS_UNCLAIMED 0", "embedded POSTBACKS_DEADLETTER 0", "embedded POSTBACKS_OTHER no such stream")
	if said != "nothing is stored about the people that you named\n" {
		t.Errorf("said %s", said)
	}
	table, said = p.command("forget", "messenger:1:1001")
	wantTable(t, table, "embedded POSTBACKS 1", "embedded POSTBACKS_UNCLAIMED 1", "embedded POSTBACKS_DEADLETTER 1", "embedded POSTBACKS_OTHER no such stream")
	if said != "nothing is erased yet: run the command again with --yes\n" {
		t.Errorf("said %s", said)
	}
	table, said = p.command("forget", "--yes", "messenger:1:1001")
	wantTable(t, table, "embedded POSTBACKS 1", "embedded POSTBACKS_UNCLAIMED 1", "embedded POSTBACKS_DEADLETTER 1", "embedded POSTBACKS_OTHER no such stream")
	if said != "erased; copies that consumers made, logs and backups are not erased\n" {
		t.Errorf("said %s", said)
	}
	table, said = p.command("forget", "--platform", "messenger", "--user", "1001")
	wantTable(t, table, "embedded POSTBACKS 0", "embedded POSTBACKS_UNCLAIMED 0", "embedded POSTBACKS_DEADLETTER 0", "embedded POSTBACKS_OTHER no such stream")
	if said != "nothing is stored about the people that you named\n" {
		t.Errorf("said %s", said)
	}
	if found := storedIDs(t, p.at.NATS); len(found) != 1 || found["m_2"] != 1 {
		t.Errorf("left: %v", found)
	}
	status, body := p.post(p.secret(), simulate.Messenger(click))
	wantAnswer(t, status, body, `{"accepted":0,"duplicates":1,"ignored":0,"rejected":0}`)
	p.terminate()
}

// TestForgetWithRelay erases on this machine and in the cluster, and names both.
func TestForgetWithRelay(t *testing.T) {
	t.Parallel()
	cluster := natstest.Start(t, "")
	p := startGateway(t, t.TempDir(), "GATEWAY_NATS_URL="+cluster.URL(), "GATEWAY_RELAY=true", "GATEWAY_EMBEDDED_TOKEN=tok")
	p.mustPost(simulate.Messenger(simulate.Click{Account: "1", User: "1001", Payload: "plan:pro", ID: "m_1"}))
	p.awaitRelayed()
	table, _ := p.command("forget", "--yes", "messenger:1:1001")
	wantTable(t, table, "embedded POSTBACKS 1", "embedded POSTBACKS_UNCLAIMED no such stream", "embedded POSTBACKS_DEADLETTER 0", "embedded POSTBACKS_OTHER no such stream",
		"cluster POSTBACKS 1", "cluster POSTBACKS_UNCLAIMED no such stream", "cluster POSTBACKS_DEADLETTER 0", "cluster POSTBACKS_OTHER no such stream")
	p.terminate()
}

// TestForgetInTheClusterAlone: what was not looked into is not said to hold nothing.
func TestForgetInTheClusterAlone(t *testing.T) {
	cluster := natstest.Start(t, "")
	dir := t.TempDir()
	p := startGateway(t, dir, "GATEWAY_NATS_URL="+cluster.URL())
	p.mustPost(simulate.Messenger(simulate.Click{Account: "1", User: "1001", Payload: "plan:pro", ID: "m_1"}))
	const remark = " on this machine still has a store, which was not searched: "
	if _, said := p.command("forget", "messenger:1:1001"); strings.Contains(said, remark) {
		t.Errorf("without a store it said %s", said)
	}
	p.terminate()
	startGateway(t, dir).terminate() // which stores on this machine
	table, said := p.command("forget", "messenger:1:1001")
	wantTable(t, table, "cluster POSTBACKS 1", "cluster POSTBACKS_UNCLAIMED no such stream", "cluster POSTBACKS_DEADLETTER 0", "cluster POSTBACKS_OTHER no such stream")
	if !strings.Contains(said, "the data directory ./data"+remark) {
		t.Errorf("said %s", said)
	}
	setenv(t, env("NATS_URL", cluster.URL(), "STREAM", "OTHER", "DATA_DIR", t.TempDir()))
	status, table, said := runGateway("forget", "messenger:1:1001")
	want := "gateway: cluster: GATEWAY_STREAM: stream OTHER: not found on " + cluster.URL() + ": expected the stream of a gateway that stores there\n"
	if status != exitFailed || said != want {
		t.Errorf("status %d\nsaid: %swant: %s", status, said, want)
	}
	wantTable(t, table, "cluster OTHER no such stream", "cluster OTHER_UNCLAIMED ?", "cluster OTHER_DEADLETTER ?", "cluster OTHER_OTHER ?")
}

func TestForgetAmount(t *testing.T) {
	for want, h := range map[string]erase.Result{
		"0":              {},
		"3":              {Messages: 3},
		"3 or more":      {Messages: 3, Incomplete: true},
		"?":              {Incomplete: true},
		"no such stream": {Missing: true, Incomplete: true},
	} {
		if got := amount(h); got != want {
			t.Errorf("%+v: %s", h, got)
		}
	}
}

func wantTable(t *testing.T, table string, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(table), "\n")
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	if got := strings.Join(lines[1:], "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

// mustPost has all deliveries answered 200.
func (p *gatewayProcess) mustPost(bodies ...[]byte) {
	p.t.Helper()
	for _, body := range bodies {
		if status, text := p.post(p.secret(), body); status != http.StatusOK {
			p.t.Fatalf("answered %d %s", status, text)
		}
	}
}

// awaitRelayed returns when the cluster has everything.
func (p *gatewayProcess) awaitRelayed() {
	p.t.Helper()
	eventually(p.t, "everything is relayed", func() bool {
		_, text := p.get(p.at.Admin + "/readyz")
		return text == "ready\nrelay: everything is relayed\n"
	})
}
