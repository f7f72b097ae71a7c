package ingest

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestHints(t *testing.T) {
	body := []byte(`{"object":"page","entry":[]}`)
	token := map[string]string{headerTelegram: testBots[0].Token}
	for name, test := range map[string]struct {
		method, path string
		header       map[string]string
		want         string // empty: no line
	}{
		"handshake on a wrong path":      {http.MethodGet, "/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=x", nil, `"path":"/webhook","expected":"/webhooks/meta"`},
		"trailing slash":                 {http.MethodPost, "/webhooks/meta/", signed(body, nil), `a correctly signed delivery of Meta arrived at a path without a webhook`},
		"wrongly signed on a wrong path": {http.MethodPost, "/webhook", map[string]string{headerSignature: signatureOf("another", body)}, ""},
		"unsigned on a wrong path":       {http.MethodPost, "/webhook", nil, ""},
		"a visitor":                      {http.MethodGet, "/", nil, ""},
		"an update on a wrong path":      {http.MethodPost, "/telegram", token, `"expected":"/webhooks/telegram/` + testBots[0].Bot + `"`},
		"a wrong token on a wrong path":  {http.MethodPost, "/telegram", map[string]string{headerTelegram: "wrong"}, ""},
		"an unknown bot":                 {http.MethodPost, "/webhooks/telegram/nobody", token, "an update arrived for a bot that is not configured"},
		"a form":                         {http.MethodPost, "/webhooks/meta", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, `"content_type":"application/x-www-form-urlencoded"`},
		"renamed parameters":             {http.MethodGet, "/webhooks/meta?hub_mode=subscribe&hub_challenge=1&hub_verify_token=" + testToken, nil, "hub_mode instead of hub.mode"},
		"renamed on a wrong path":        {http.MethodGet, "/x?hub_mode=subscribe&hub_challenge=1", nil, `a handshake of Meta arrived`},
		"missing parameters":             {http.MethodGet, "/webhooks/meta", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, nil)
			for range 3 {
				if got := ts.request(t, test.method, test.path, body, test.header); got.status < 400 {
					t.Errorf("answered %d", got.status)
				}
			}
			log := ts.log.String()
			if test.want == "" && log != "" {
				t.Errorf("logged %s", log)
			}
			if test.want != "" && (!strings.Contains(log, test.want) || strings.Count(log, "\n") != 1) {
				t.Errorf("logged %s, want one line with %s", log, test.want)
			}
			if strings.Contains(log, testToken) {
				t.Error("the log shows the verify token")
			}
		})
	}
}

func TestRemote(t *testing.T) {
	ts := newTestServer(t, func(cfg *Config) {
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	})
	for _, test := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:5", "198.51.100.1", "192.0.2.1:5"}, // not a proxy: anybody can send the header
		{"10.0.0.1:5", "198.51.100.1", "198.51.100.1"},
		{"[::ffff:10.0.0.1]:5", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:5", "203.0.113.9, 198.51.100.1, 10.2.2.2", "198.51.100.1"},
		{"10.0.0.1:5", "2001:db8::1, fd00::2", "2001:db8::1"},
		{"10.0.0.1:5", "10.3.3.3", "10.3.3.3"},
		{"10.0.0.1:5", "", "10.0.0.1:5"},
		{"10.0.0.1:5", "nonsense", "10.0.0.1:5"},
		{"10.0.0.1:5", "nonsense, 10.2.2.2", "10.2.2.2"},
	} {
		r := &request{Request: &http.Request{RemoteAddr: test.peer, Header: http.Header{}}}
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := ts.remote(r); got != test.want {
			t.Errorf("%s, %q: got %s, want %s", test.peer, test.forwarded, got, test.want)
		}
	}
}
