package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

func TestFunnel(t *testing.T) {
	p := startGateway(t, t.TempDir())
	at := time.Now().Add(-time.Hour)
	for i, press := range []string{"a start", "b start", "c start", "d start", "a plan:pro", "b plan:free", "a pay"} {
		user, payload, _ := strings.Cut(press, " ")
		click := simulate.Click{Account: "1", User: user, Payload: payload, At: at.Add(time.Duration(i) * time.Minute)}
		if status, text := p.post(p.secret(), simulate.Messenger(click)); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
	}
	for _, test := range []struct{ args, want string }{
		{"start plan pay", "PEOPLE  OF FIRST  OF BEFORE  MEDIAN TIME  STEP\n4       100.0%                            start\n2       50.0%     50.0%      4m"},
		{"start plan pay --json", `{"steps":[{"step":"start","people":4,"median_ns":0},{"step":"plan","people":2,"median_ns":`},
		{"start plan pay --within 5m", "\n0       0.0%      0.0%       0s           pay\n"},
		{"start plan --account 2", "\n0       -         -          0s           plan\n"},
		{"start", "gateway: a funnel has 2 to 8 steps, got 1 (see gateway funnel --help)"},
	} {
		text, status := p.run(append([]string{"funnel"}, strings.Fields(test.args)...)...)
		if !strings.Contains(text, test.want) || (status != exitDone) != strings.HasPrefix(text, "gateway:") {
			t.Errorf("funnel %s: status %d\n%s", test.args, status, text)
		}
	}
	p.terminate()
}
