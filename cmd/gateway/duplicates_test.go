package main

import (
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// TestDuplicatesForAWeek: with the longest window the server remembers ids for minutes, and
// the gateway also those of events that are gone.
func TestDuplicatesForAWeek(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func() *gatewayProcess { return startGateway(t, dir, "GATEWAY_DUPLICATE_WINDOW=168h") }
	p := start()
	delivery := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro", ID: "m_1"})
	status, body := p.post(p.secret(), delivery)
	wantAnswer(t, status, body, `{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`)
	events, err := natstest.JetStream(t, p.at.NATS).Stream(t.Context(), "POSTBACKS")
	if err != nil {
		t.Fatal(err)
	}
	if window := events.CachedInfo().Config.Duplicates; window != stream.ServerWindow {
		t.Errorf("the server's window is %s, expected %s", window, stream.ServerWindow)
	}
	if err := events.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.terminate()
	p = start()
	status, body = p.post(p.secret(), delivery)
	wantAnswer(t, status, body, `{"accepted":0,"duplicates":1,"ignored":0,"rejected":0}`)
	p.terminate()
}
