package natsconn

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/natstest"
)

func connect(t *testing.T, cfg Config, o Options) (*Conn, *natstest.Log) {
	t.Helper()
	log := &natstest.Log{}
	o.Log, o.Use = slog.New(slog.NewTextHandler(log, nil)), "stored"
	c, err := Connect(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c, log
}

// TestDroppedConnections: a server that accepts connections and drops them at once is
// tried a few times a second, and that is not logged each time.
func TestDroppedConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a nats-server process")
	}
	const many = 1 << 20
	for _, replace := range []bool{false, true} {
		proxy := natstest.StartProxy(t, natstest.Start(t, ""))
		proxy.CutAfterPong(many)
		c, log := connect(t, Config{Servers: proxy.URL()}, Options{NewAfterLoss: replace, Patient: true})
		begin := time.Now()
		cuts := func() int { return many - proxy.Cuts() }
		natstest.Eventually(t, "three seconds have passed, with connections", func() bool { return time.Since(begin) > 3*time.Second && cuts() > 1 })
		if n, took := cuts(), time.Since(begin); n > 15*int(took/time.Second+1) {
			t.Errorf("replace %t: %d connections in %s", replace, n, took)
		}
		if lost, connected := strings.Count(log.String(), "connection to NATS lost"), strings.Count(log.String(), "onnect"); lost > 2 || connected > 8 {
			t.Errorf("replace %t: %d losses and %d lines are logged:\n%s", replace, lost, connected, log)
		}
		proxy.CutAfterPong(0)
		natstest.Eventually(t, "a connection that lasts is logged", func() bool {
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			return c.Online() && !strings.Contains(lines[len(lines)-1], "lost")
		})
	}
}

// TestSetupIsRetried: setup runs again until it succeeds, and after Wake. Each time that
// it begins to fail is logged, and not each try.
func TestSetupIsRetried(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a nats-server process")
	}
	calls, looked := make(chan int, 100), make(chan struct{})
	n := 0
	c, log := connect(t, Config{Servers: natstest.Start(t, "").URL()}, Options{
		Metrics: &Metrics{Connected: prometheus.NewGauge(prometheus.GaugeOpts{}), Reconnects: prometheus.NewCounter(prometheus.CounterOpts{})},
		Setup: func(context.Context, *Link) error {
			n++
			calls <- n
			if n < 3 || n == 5 || n == 6 {
				return context.DeadlineExceeded
			}
			<-looked
			return nil
		}})
	err := c.SetupErr()
	close(looked)
	if err == nil {
		t.Error("set up by an error")
	}
	natstest.Eventually(t, "set up", func() bool { return c.SetupErr() == nil })
	c.Wake()
	natstest.Eventually(t, "set up again", func() bool { return len(calls) == 4 })
	c.Wake()
	natstest.Eventually(t, "it fails twice, and is set up again", func() bool { return len(calls) == 7 })
	if n := strings.Count(log.String(), "events cannot be stored yet; trying again"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, log)
	}
}

func TestHideSubjects(t *testing.T) {
	hide := HideSubjects("Shop.Clicks")
	for given, want := range map[string]string{
		`nats: permissions violation for publish to "shop.clicks.messenger.1.plan.pro"`:     `nats: permissions violation for publish to "shop.clicks.>"`,
		`Permissions Violation for Publish to "deadletter.Shop.Clicks.messenger.too_large"`: `Permissions Violation for Publish to "deadletter.Shop.Clicks.>"`,
		`subject Shop.Clicks.a.b.c.d, then more`:                                            `subject Shop.Clicks.> then more`,
		`permissions violation for subscription to "_inbox.x"`:                              `permissions violation for subscription to "_inbox.x"`,
		`stream captures shop.clicks`:                                                       `stream captures shop.clicks`,
	} {
		if got := hide(given); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", given, got, want)
		}
	}
}

func TestDial(t *testing.T) {
	link, err := Dial(Config{Servers: natstest.Start(t, "").URL()}, "tail")
	if err != nil || link.NC.Opts.Name != "tail" {
		t.Fatalf("%v", err)
	}
	link.NC.Close()
	if _, err := Dial(Config{Servers: "nats://127.0.0.1:1"}, "tail"); err == nil || err.Error() != "cannot reach nats://127.0.0.1:1: nats: no servers available for connection" {
		t.Errorf("%v", err)
	}
}
