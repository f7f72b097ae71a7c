package publish_test

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/schema"
)

// overwrite replaces what a file holds, as a secret store does.
func overwrite(t *testing.T, path, from string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCredentialsAreReadAgain: the server comes back with other credentials. The
// gateway cannot store until it has them too, and needs no new start for it.
func TestCredentialsAreReadAgain(t *testing.T) {
	needsProcess(t)
	var secret atomic.Pointer[string]
	set := func(text string) { secret.Store(&text) }
	ask := func() string { return *secret.Load() }
	operatorLines, creds := operatorMode(t)
	otherLines, otherCreds := operatorMode(t)
	ca, other := newAuthority(t), newAuthority(t)
	tlsLines := func(a *authority) string {
		cert, key := a.issue("127.0.0.1")
		return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", cert, key, a.path)
	}
	clientCert, clientKey := ca.issue("127.0.0.1")
	otherCert, otherKey := other.issue("127.0.0.1")
	credsFile := writeFile(t, "user.creds", creds)
	for _, test := range []struct {
		name          string
		before, after string // the server's configuration
		change        func(*Config)
		rotate        func()
	}{
		{"password", `authorization { user: "gw", password: "old" }`, `authorization { user: "gw", password: "new" }`,
			func(c *Config) { c.User, c.Secret = "gw", ask }, func() { set("new") }},
		{"token", `authorization { token: "old" }`, `authorization { token: "new" }`,
			func(c *Config) { c.Secret = ask }, func() { set("new") }},
		{"creds", operatorLines, otherLines, func(c *Config) { c.Creds = credsFile },
			func() { overwrite(t, credsFile, writeFile(t, "other.creds", otherCreds)) }},
		{"TLS", tlsLines(ca), tlsLines(other), func(c *Config) { c.CA, c.Cert, c.Key = ca.path, clientCert, clientKey }, func() {
			overwrite(t, clientCert, otherCert)
			overwrite(t, clientKey, otherKey)
			overwrite(t, ca.path, other.path)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			set("old")
			s := natstest.Start(t, test.before)
			cfg := serverConfig(s)
			test.change(&cfg)
			p := mustOpen(t, cfg)
			mustPublish(t, p, clicks("m", 3)...)
			s.Kill()
			s.Configure(test.after)
			s.Start()
			eventually(t, "the connection is known to be lost", func() bool { return p.Ready(t.Context()) != nil })
			test.rotate()
			eventually(t, "connected with the new ones", func() bool { return p.Ready(t.Context()) == nil })
			if got := mustPublish(t, p, clicks("n", 1)...); got[0] != schema.Stored {
				t.Errorf("got %v", got)
			}
		})
	}
}

// What stands in the URL comes before the secret that may change, as before one that
// does not; the client would refuse to have both.
func TestSecretBehindTheURL(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, `authorization { token: "tok" }`)
	cfg := serverConfig(s)
	cfg.Servers = strings.Replace(cfg.Servers, "//", "//tok@", 1)
	cfg.Token, cfg.Secret = "unused", func() string { return "unused" }
	mustPublish(t, mustOpen(t, cfg), clicks("m", 1)...)
}

// TestEmbeddedTokenChanges: the gateway's own connection is closed with all others when
// the token changes, and no publish is lost over it.
func TestEmbeddedTokenChanges(t *testing.T) {
	server := publishtest.Embedded(t, "")
	var token atomic.Pointer[string]
	set := func(text string) {
		token.Store(&text)
		if err := server.SetToken(text); err != nil {
			t.Fatal(err)
		}
	}
	set("0")
	cfg := testConfig()
	cfg.InProcess, cfg.Secret = server, func() string { return *token.Load() }
	cfg.AckTimeout = 10 * time.Second // which is also how long it waits for a connection
	p := mustOpen(t, cfg)
	for i := range 5 {
		set(fmt.Sprint(i + 1))
		start := time.Now()
		mustPublish(t, p, clicks(fmt.Sprintf("m%d", i), 2)...)
		t.Logf("stored %s after the change", time.Since(start))
	}
}
