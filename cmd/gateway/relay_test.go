package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// TestRelay: with a cluster that is away deliveries are answered 200, /readyz
// tells what waits, and the cluster gets it when it is there.
func TestRelay(t *testing.T) {
	t.Parallel()
	cluster := natstest.New(t, natstest.FreePort(t), "")
	p := startGateway(t, t.TempDir(), "GATEWAY_NATS_URL="+cluster.URL(), "GATEWAY_RELAY=true")
	for _, id := range []string{"m_1", "m_2"} {
		body := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro", ID: id})
		if status, text := p.post(p.secret(), body); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	eventually(t, "/readyz tells what waits, and for whom", func() bool {
		status, text := p.get(p.at.Admin + "/readyz")
		return status == http.StatusOK && strings.HasPrefix(text, "ready\nrelay: 2 events wait to be relayed, the oldest for ") && strings.Contains(text, cluster.URL())
	})
	cluster.Start()
	eventually(t, "the backlog is gone", func() bool {
		_, text := p.get(p.at.Admin + "/readyz")
		return text == "ready\nrelay: everything is relayed\n"
	})
	c := consume(t, cluster.URL(), "POSTBACKS")
	for _, id := range []string{"m_1", "m_2"} {
		if _, e, _ := c.event(); e.ID != id {
			t.Errorf("the cluster got %s, expected %s", e.ID, id)
		}
	}
	p.terminate()
}
