package publish_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// These tests run the real nats-server as a process of its own.

func writeFile(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func userKey(t *testing.T) (public string, seed []byte) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ = pair.PublicKey()
	seed, _ = pair.Seed()
	return public, seed
}

func TestCredentials(t *testing.T) {
	needsProcess(t)
	public, seed := userKey(t)
	_, otherSeed := userKey(t)
	const asks = `authorization { user: "gw", password: "pw" }`
	tests := []struct {
		name   string
		server string // lines of its configuration
		right  func(*Config)
		wrong  func(*Config)
		want   string // the end of the wrong one's error
	}{
		{"user", asks, func(c *Config) { c.User, c.Password = "gw", "pw" }, func(c *Config) { c.User, c.Password = "gw", "s3cret" },
			"check the user and the password"},
		{"in the URL", asks, func(c *Config) { c.Servers = strings.Replace(c.Servers, "//", "//gw:pw@", 1) },
			func(c *Config) { c.Servers = strings.Replace(c.Servers, "//", "//s3cret@", 1) }, "check the credentials in the URL"},
		{"token", `authorization { token: "tok" }`, func(c *Config) { c.Token = "tok" }, func(c *Config) { c.Token = "s3cret" }, "check the token"},
		{"nkey", `authorization { users: [ { nkey: ` + public + ` } ] }`,
			func(c *Config) { c.NKey = writeFile(t, "user.nk", seed) }, func(c *Config) { c.NKey = writeFile(t, "user.nk", otherSeed) }, "check the nkey seed"},
		{"none", asks, func(c *Config) { c.User, c.Password = "gw", "pw" }, func(*Config) {},
			"none are configured: expected a credentials file, an nkey seed, a user and password, or a token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := natstest.Start(t, tt.server)
			right, wrong := serverConfig(s), serverConfig(s)
			tt.right(&right)
			tt.wrong(&wrong)
			mustPublish(t, mustOpen(t, right), clicks("m", 3)...)
			want := s.URL() + " refuses the credentials (nats: Authorization Violation): " + tt.want
			if got := openError(t, wrong); !strings.EqualFold(got, want) {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// operatorMode returns a server's configuration and the .creds file of a user of
// its one account with JetStream.
func operatorMode(t *testing.T) (lines string, creds []byte) {
	t.Helper()
	operator, _ := nkeys.CreateOperator()
	account, _ := nkeys.CreateAccount()
	accountKey, _ := account.PublicKey()
	operatorKey, _ := operator.PublicKey()
	claims := jwt.NewAccountClaims(accountKey)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: jwt.NoLimit, MemoryStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	accountJWT, err := claims.Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	systemKey := newAccountKey(t)
	operatorClaims := jwt.NewOperatorClaims(operatorKey)
	operatorClaims.SystemAccount = systemKey
	operatorJWT, err := operatorClaims.Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	systemJWT, err := jwt.NewAccountClaims(systemKey).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	userKey, seed := userKey(t)
	userJWT, err := jwt.NewUserClaims(userKey).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	if creds, err = jwt.FormatUserConfig(userJWT, seed); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }",
		operatorJWT, accountKey, accountJWT, systemKey, systemJWT), creds
}

func newAccountKey(t *testing.T) string {
	t.Helper()
	pair, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	return public
}

func TestCredsFile(t *testing.T) {
	needsProcess(t)
	lines, creds := operatorMode(t)
	_, strangers := operatorMode(t)
	cfg := serverConfig(natstest.Start(t, lines))
	cfg.Creds = writeFile(t, "user.creds", creds)
	mustPublish(t, mustOpen(t, cfg), clicks("m", 3)...)
	cfg.Creds = writeFile(t, "stranger.creds", strangers)
	if got := openError(t, cfg); !strings.HasSuffix(got, "check the credentials file") {
		t.Error(got)
	}
}

func TestServerWithoutJetStream(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "accounts { A { users: [ { user: a, password: b } ] } }")
	cfg := serverConfig(s)
	cfg.User, cfg.Password = "a", "b"
	want := s.URL() + " has no JetStream for this account (nats: API error: code=503 err_code=10039 description=JetStream not enabled for account): enable it in the server's configuration"
	if got := openError(t, cfg); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestServerComesLater(t *testing.T) {
	needsProcess(t)
	s := natstest.New(t, natstest.FreePort(t), "")
	p, log := mustOpenWith(t, serverConfig(s), nil)
	if _, err := p.Publish(t.Context(), clicks("m", 1)); err == nil || !strings.Contains(err.Error(), "cannot reach "+s.URL()) {
		t.Errorf("without a server: %v", err)
	}
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot reach "+s.URL()) {
		t.Errorf("Ready without a server: %v", err)
	}
	s.Start()
	eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
	mustPublish(t, p, clicks("m", 3)...)
	if !strings.Contains(log.String(), "events cannot be stored yet") || !strings.Contains(log.String(), "connected to NATS") {
		t.Error(log)
	}
}

func TestFaultFoundAfterOpen(t *testing.T) {
	needsProcess(t)
	port := natstest.FreePort(t)
	s := natstest.New(t, port, `authorization { user: "gw", password: "pw" }`)
	p := mustOpen(t, serverConfig(s))
	s.Start()
	select {
	case err := <-p.Err():
		if !strings.Contains(err.Error(), "refuses the credentials") {
			t.Error(err)
		}
	case <-time.After(natstest.Patience):
		t.Fatal("the fault was not reported")
	}
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses the credentials") {
		t.Errorf("Ready: %v", err)
	}
}

func TestWrongStreamFoundAfterOpen(t *testing.T) {
	needsProcess(t)
	s := natstest.New(t, natstest.FreePort(t), "")
	s.Start()
	js := natstest.JetStream(t, s.URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "POSTBACKS", Subjects: []string{"orders"}}); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	p := mustOpen(t, serverConfig(s))
	s.Start()
	select {
	case err := <-p.Err():
		if !strings.Contains(err.Error(), "stream POSTBACKS captures orders, expected postback.v1.>") {
			t.Error(err)
		}
	case <-time.After(natstest.Patience):
		t.Fatal("the fault was not reported")
	}
}

func TestServerKilledAndRestarted(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "")
	reg := prometheus.NewRegistry()
	p, log := mustOpenWith(t, serverConfig(s), reg)
	mustPublish(t, p, clicks("before", 3)...)
	s.Kill()
	eventually(t, "not ready", func() bool { return p.Ready(t.Context()) != nil })
	start := time.Now()
	outcomes, err := p.Publish(withDeadline(t, time.Second), clicks("during", 3))
	if err == nil || slices.Contains(outcomes, schema.Stored) {
		t.Errorf("without a server: %v, %v", outcomes, err)
	}
	if took := time.Since(start); took > 10*time.Second { // otherwise it waits for the server
		t.Errorf("took %s with a second to go", took)
	}
	s.Start()
	eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
	if got := mustPublish(t, p, clicks("before", 3)...); got[0] != schema.Duplicate {
		t.Errorf("what was stored before: %v", got)
	}
	mustPublish(t, p, clicks("during", 3)...)
	if n := info(t, natstest.JetStream(t, s.URL()), "POSTBACKS").State.Msgs; n != 6 {
		t.Errorf("%d stored, want 6", n)
	}
	eventually(t, "it is logged and counted", func() bool {
		return strings.Contains(log.String(), "NATS restored") && metric(t, reg, "gateway_nats_reconnects_total") > 0
	})
	if lost, back := strings.Count(log.String(), "NATS lost"), strings.Count(log.String(), "NATS restored"); lost != 1 || back != 1 {
		t.Errorf("lost is logged %d times, restored %d times:\n%s", lost, back, log)
	}
	if n := metric(t, reg, "gateway_nats_reconnects_total"); n != 1 {
		t.Errorf("gateway_nats_reconnects_total is %v", n)
	}
}

// TestPublishThroughARestart: a delivery that is under way when the server dies
// is stored once it is back, each event once.
func TestPublishThroughARestart(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, "")
	p := mustOpen(t, serverConfig(s))
	done := make(chan error, 1)
	go func() {
		_, err := p.Publish(withDeadline(t, time.Minute), clicks("m", 50_000))
		done <- err
	}()
	js := natstest.JetStream(t, s.URL())
	eventually(t, "some are stored", func() bool { return info(t, js, "POSTBACKS").State.Msgs > 1000 })
	s.Kill()
	s.Start()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := info(t, natstest.JetStream(t, s.URL()), "POSTBACKS").State.Msgs; n != 50_000 {
		t.Errorf("%d stored, want 50000", n)
	}
}

// TestStreamsAreMadeAgain: a server that comes back with an empty disk gets its
// streams again.
func TestStreamsAreMadeAgain(t *testing.T) {
	needsProcess(t)
	port := natstest.FreePort(t)
	first := natstest.New(t, port, "")
	first.Start()
	p := mustOpen(t, serverConfig(first))
	first.Kill()
	second := natstest.New(t, port, "")
	second.Start()
	eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
	mustPublish(t, p, clicks("m", 3)...)
}

// TestSetupErrorIsLoggedOnce: and not at each try.
func TestSetupErrorIsLoggedOnce(t *testing.T) {
	cfg := embeddedConfig(t)
	p, log := mustOpenWith(t, cfg, nil)
	js := natstest.JetStream(t, "", inProcess(cfg))
	told := func() int { return strings.Count(log.String(), "OTHER captures subjects of postback.v1.> already") }
	eventually(t, "the error is logged", func() bool {
		replaceStream(t, js)
		p.Monitor().Conn.Wake()
		return told() > 0
	})
	p.Monitor().Conn.Wake()
	if err := js.DeleteStream(t.Context(), "OTHER"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is made again", func() bool {
		_, err := js.Stream(t.Context(), "POSTBACKS")
		return err == nil
	})
	if n := told(); n != 1 || !strings.Contains(log.String(), "events cannot be stored yet; trying again") {
		t.Errorf("logged %d times:\n%s", n, log)
	}
}

func TestClusterReplicas(t *testing.T) {
	needsProcess(t)
	for _, tt := range []struct{ servers, replicas int }{{2, 1}, {3, 3}} {
		t.Run(fmt.Sprint(tt.servers), func(t *testing.T) {
			cfg := serverConfig(natstest.StartCluster(t, tt.servers, natstest.ClusterOptions{}).Servers...)
			p := mustOpen(t, cfg)
			eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
			mustPublish(t, p, append(clicks("m", 20), rubbish("x"))...)
			js := natstest.JetStream(t, cfg.Servers)
			for _, name := range []string{"POSTBACKS", "POSTBACKS_DEADLETTER"} {
				if got := info(t, js, name).Config.Replicas; got != tt.replicas {
					t.Errorf("%s has %d replicas, want %d", name, got, tt.replicas)
				}
			}
		})
	}
}

// TestClusterWaitsForItsThirdServer: no single copy for ever because one server
// was away when the stream was created.
func TestClusterWaitsForItsThirdServer(t *testing.T) {
	needsProcess(t)
	servers := natstest.StartCluster(t, 3, natstest.ClusterOptions{Away: 1}).Servers
	cfg := serverConfig(servers...)
	p, log := mustOpenWith(t, cfg, nil)
	eventually(t, "it waits", func() bool {
		return strings.Contains(log.String(), "stream POSTBACKS waits for servers to put its replicas on")
	})
	servers[2].Start()
	eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
	if r := info(t, natstest.JetStream(t, cfg.Servers), "POSTBACKS").Config.Replicas; r != 3 {
		t.Errorf("%d replicas", r)
	}
}

func TestCloseWhileConnecting(t *testing.T) {
	cfg := testConfig()
	cfg.Servers = "nats://127.0.0.1:1"
	p, err := publish.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(withDeadline(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
}
