package ingest

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// recorder is an observer that keeps what outlives a request.
type recorder struct {
	watching bool
	seen     []Observation
	bodies   []string
}

func (r *recorder) Watching() bool { return r.watching }

func (r *recorder) Observe(o *Observation) {
	r.bodies = append(r.bodies, string(o.Body))
	r.seen = append(r.seen, *o)
}

func observedServer(t *testing.T, watching bool) (*Server, *recorder) {
	t.Helper()
	r := &recorder{watching: watching}
	cfg := testConfig()
	cfg.MetaAppSecrets = []string{"another-secret", testSecret}
	cfg.Observer = r
	server, err := New(cfg, &fakePublisher{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return server, r
}

func deliverTo(t *testing.T, server *Server, secret string, body []byte) {
	t.Helper()
	request, err := simulate.Request("http://gateway", secret, body)
	if err != nil {
		t.Fatal(err)
	}
	server.ServeHTTP(httptest.NewRecorder(), request)
}

func TestObserver(t *testing.T) {
	click := simulate.Messenger(simulate.Click{Account: "17", User: "u", Payload: "plan:pro"})
	halfBad := []byte(`{"object":"page","entry":[{"id":"17","messaging":[{"sender":{"id":"1"},"postback":7}]}]}`)
	for _, test := range []struct {
		name              string
		secret            string
		body              []byte
		outcome, reason   string
		help              string
		status, place     int
		items             int
		seenWithoutViewer bool
	}{
		{"a click", testSecret, click, outcomeStored, "", "", 200, 2, 1, false},
		{"a malformed item", testSecret, halfBad, outcomeRejected, string(schema.ReasonMalformed), "", 200, 2, 1, true},
		{"another app's secret", "wrong", click, outcomeUnauthenticated, "mismatch", "app secret", 401, 0, 0, true},
		{"not JSON", testSecret, []byte("x"), outcomeRejected, string(schema.ReasonNotJSON), "", 400, 2, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, viewer := observedServer(t, true)
			deliverTo(t, server, test.secret, test.body)
			if len(viewer.seen) != 1 {
				t.Fatalf("seen %d times", len(viewer.seen))
			}
			o := viewer.seen[0]
			if o.Outcome != test.outcome || o.Reason != test.reason || o.Status != test.status || o.Secret != test.place ||
				len(o.Items) != test.items || !strings.Contains(o.Help, test.help) || viewer.bodies[0] != string(test.body) {
				t.Errorf("got %+v", o)
			}
			if o.Steps.Read <= 0 {
				t.Error("reading took no time")
			}
			server, nobody := observedServer(t, false)
			deliverTo(t, server, test.secret, test.body)
			if seen := len(nobody.seen) == 1; seen != test.seenWithoutViewer {
				t.Errorf("without a viewer: seen %t", seen)
			}
		})
	}
}

// TestObserverHandshake: a handshake is seen too, and says what is wrong.
func TestObserverHandshake(t *testing.T) {
	server, viewer := observedServer(t, true)
	for _, token := range []string{testToken, "wrong"} {
		server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET",
			"/webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token="+token, nil))
	}
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/webhook", strings.NewReader("{}")))
	var got []string
	for _, o := range viewer.seen {
		got = append(got, o.Outcome+" "+o.Reason)
	}
	if want := "handshake ,handshake verify_token,not_a_delivery unknown_path"; strings.Join(got, ",") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
