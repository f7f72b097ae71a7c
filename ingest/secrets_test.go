package ingest

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func (ts *testServer) mustSet(t *testing.T, secrets Secrets) {
	t.Helper()
	if err := ts.SetSecrets(secrets); err != nil {
		t.Fatal(err)
	}
}

func (ts *testServer) wantVerified(t *testing.T, want string) {
	t.Helper()
	const head = `# HELP gateway_signature_verified_total Requests accepted, by the place of the secret in its list, from 1: an old secret may go when it is used no more.
# TYPE gateway_signature_verified_total counter
`
	if err := testutil.GatherAndCompare(ts.reg, strings.NewReader(head+want), "gateway_signature_verified_total"); err != nil {
		t.Error(err)
	}
}

func (ts *testServer) statusSigned(t *testing.T, secret string) int {
	t.Helper()
	return ts.post(t, []byte(okPostback), map[string]string{headerSignature: signatureOf(secret, []byte(okPostback))}).status
}

func (ts *testServer) statusOfBot(t *testing.T, bot, token string) int {
	t.Helper()
	return ts.update(t, bot, []byte(okUpdate), map[string]string{headerTelegram: token}).status
}

func (ts *testServer) statusOfHandshake(t *testing.T, token string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, ts.url+"/webhooks/meta?hub.mode=subscribe&hub.challenge=c&hub.verify_token="+token, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ts.do(t, r).status
}

// Each step sets secrets and checks which of them are accepted.
func TestSetSecrets(t *testing.T) {
	ts := newTestServer(t, func(c *Config) {
		c.Secrets = Secrets{MetaAppSecrets: []string{"a"}, MetaVerifyToken: "v"}
	})
	for _, step := range []struct {
		secrets  Secrets
		signed   map[string]int
		tokens   map[string]int
		bots     map[[2]string]int
		verified string
	}{
		{
			Secrets{MetaAppSecrets: []string{"a"}, MetaVerifyToken: "v"},
			map[string]int{"a": 200, "b": 401}, map[string]int{"v": 200, "w": 403}, map[[2]string]int{{"shop", "x"}: 404},
			`gateway_signature_verified_total{platform="meta",secret="1"} 1
`,
		},
		{ // another secret and the first bot: the first place goes on counting
			Secrets{MetaAppSecrets: []string{"a", "b"}, MetaVerifyToken: "w", TelegramSecrets: []TelegramSecret{{"shop", "x"}}},
			map[string]int{"a": 200, "b": 200, "c": 401}, map[string]int{"v": 403, "w": 200}, map[[2]string]int{{"shop", "x"}: 200, {"shop", "y"}: 401, {"other", "x"}: 404},
			`gateway_signature_verified_total{platform="meta",secret="1"} 2
gateway_signature_verified_total{platform="meta",secret="2"} 1
gateway_signature_verified_total{platform="telegram",secret="1"} 1
`,
		},
		{ // the old one goes: the place is another secret's, and begins anew
			Secrets{MetaAppSecrets: []string{"b"}, MetaVerifyToken: "w", TelegramSecrets: []TelegramSecret{{"shop", "y"}, {"other", "x"}}},
			map[string]int{"a": 401, "b": 200}, map[string]int{"w": 200}, map[[2]string]int{{"shop", "x"}: 401, {"other", "x"}: 200},
			`gateway_signature_verified_total{platform="meta",secret="1"} 1
gateway_signature_verified_total{platform="telegram",secret="1"} 0
gateway_signature_verified_total{platform="telegram",secret="2"} 1
`,
		},
		{ // no bot any more
			Secrets{MetaAppSecrets: []string{"b"}, MetaVerifyToken: "w"},
			map[string]int{"b": 200}, map[string]int{"w": 200}, map[[2]string]int{{"shop", "y"}: 404, {"other", "x"}: 404},
			`gateway_signature_verified_total{platform="meta",secret="1"} 2
`,
		},
	} {
		ts.mustSet(t, step.secrets)
		for secret, want := range step.signed {
			if got := ts.statusSigned(t, secret); got != want {
				t.Errorf("%v: signed with %s: %d, want %d", step.secrets, secret, got, want)
			}
		}
		for token, want := range step.tokens {
			if got := ts.statusOfHandshake(t, token); got != want {
				t.Errorf("%v: handshake with %s: %d, want %d", step.secrets, token, got, want)
			}
		}
		for bot, want := range step.bots {
			if got := ts.statusOfBot(t, bot[0], bot[1]); got != want {
				t.Errorf("%v: %v: %d, want %d", step.secrets, bot, got, want)
			}
		}
		ts.wantVerified(t, step.verified)
	}
}

// After an error nothing has changed, and neither have the metrics.
func TestSetSecretsRefused(t *testing.T) {
	ts := newTestServer(t, func(c *Config) {
		c.Secrets = Secrets{MetaAppSecrets: []string{"a"}, MetaVerifyToken: "v"}
	})
	ts.statusSigned(t, "a")
	for want, secrets := range map[string]Secrets{
		"no app secret: every request would be refused":                            {MetaVerifyToken: "v"},
		"an app secret is empty: anybody could sign with it":                       {MetaAppSecrets: []string{"hunter2", ""}, MetaVerifyToken: "v"},
		"no verify token: Meta's handshake could not succeed":                      {MetaAppSecrets: []string{"hunter2"}},
		"the secret token of the Telegram bot bot is empty: anybody could send it": {MetaAppSecrets: []string{"hunter2"}, MetaVerifyToken: "v", TelegramSecrets: []TelegramSecret{{"bot", ""}}},
	} {
		if err := ts.SetSecrets(secrets); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if got := ts.statusSigned(t, "a"); got != 200 {
		t.Errorf("the old secret: %d", got)
	}
	ts.wantVerified(t, `gateway_signature_verified_total{platform="meta",secret="1"} 2
`)
}

// The server does not keep the caller's slices.
func TestSetSecretsKeepsACopy(t *testing.T) {
	ts := newTestServer(t, nil)
	list := []string{"a"}
	ts.mustSet(t, Secrets{MetaAppSecrets: list, MetaVerifyToken: "v"})
	ts.statusSigned(t, "a")
	list[0] = "b"
	ts.mustSet(t, Secrets{MetaAppSecrets: list, MetaVerifyToken: "v"})
	ts.wantVerified(t, `gateway_signature_verified_total{platform="meta",secret="1"} 0
`)
}

// A secret that is in every list is always accepted, whatever changes around it.
func TestSetSecretsUnderLoad(t *testing.T) {
	ts := newTestServer(t, nil)
	lists := []Secrets{
		{MetaAppSecrets: []string{"kept"}, MetaVerifyToken: "v", TelegramSecrets: []TelegramSecret{{"shop", "kept"}}},
		{MetaAppSecrets: []string{"other", "kept"}, MetaVerifyToken: "v", TelegramSecrets: []TelegramSecret{{"new", "x"}, {"shop", "other"}, {"shop", "kept"}}},
	}
	ts.mustSet(t, lists[0])
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 50 {
				if got := ts.statusSigned(t, "kept"); got != 200 {
					t.Errorf("Meta: %d", got)
				}
				if got := ts.statusOfBot(t, "shop", "kept"); got != 200 {
					t.Errorf("Telegram: %d", got)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		clients.Wait()
		close(done)
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
		default:
			ts.mustSet(t, lists[i%2])
			continue
		}
		break
	}
}

// A request that was verified just before a change does not bring back the series of a
// removed place.
func TestGoneSecretStaysGone(t *testing.T) {
	ts := newTestServer(t, nil)
	ts.mustSet(t, Secrets{MetaAppSecrets: []string{"a", "b"}, MetaVerifyToken: "v"})
	request := ts.secrets.Load()
	ts.mustSet(t, Secrets{MetaAppSecrets: []string{"a"}, MetaVerifyToken: "v"})
	request.meta.uses[0].Inc()
	request.meta.uses[1].Inc()
	ts.wantVerified(t, `gateway_signature_verified_total{platform="meta",secret="1"} 1
`)
}
