package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/logging"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/ingest/simulate"
)

// contractMetrics are the names that dashboards are built on.
var contractMetrics = []string{
	"gateway_http_requests_total", "gateway_http_request_duration_seconds_bucket", "gateway_events_total",
	"gateway_clicks_total", "gateway_signature_failures_total", "gateway_signature_verified_total",
	"gateway_publish_duration_seconds_bucket", "gateway_sync_duration_seconds_bucket", "gateway_sync_batch_size_bucket",
	"gateway_event_age_seconds_bucket", "gateway_last_event_timestamp_seconds", "gateway_in_flight_requests",
	"gateway_slot_wait_seconds_bucket", "gateway_slot_waiting_requests",
	"gateway_nats_connected", "gateway_relay_pending_events", "gateway_relay_lag_seconds", "gateway_unclaimed_subjects",
	"gateway_relayed_events_total", "gateway_deadletters_total", "gateway_nats_reconnects_total", "gateway_build_info",
	"gateway_forwarded_deliveries_total", "gateway_forward_pending_deliveries", "gateway_forward_lag_seconds",
	"go_goroutines", "process_cpu_seconds_total",
}

func TestAdminListener(t *testing.T) {
	p := startGateway(t, t.TempDir())
	p.post(p.secret(), simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a"}))
	for path, want := range map[string]string{
		"/healthz": "ok\n", "/readyz": "ready\n",
	} {
		if status, body := p.get(p.at.Admin + path); status != 200 || body != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if status, _ := p.get(p.at.Webhook + path); status != 404 {
			t.Errorf("%s on the public listener: %d", path, status)
		}
	}
	if status, body := p.get(p.at.Admin + "/"); status != 200 || !strings.Contains(body, "<title>postback-gateway</title>") {
		t.Errorf("/: %d %s", status, body)
	}
	if status, _ := p.get(p.at.Webhook + "/"); status != 404 {
		t.Errorf("/ on the public listener: %d", status)
	}
	if status, body := p.get(p.at.Admin + "/debug/pprof/"); status != 200 || !strings.Contains(body, "goroutine") {
		t.Errorf("pprof: %d", status)
	}
	_, scrape := p.get(p.at.Admin + "/metrics")
	manual, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range contractMetrics {
		if documented := strings.TrimSuffix(name, "_bucket"); strings.HasPrefix(name, "gateway_") && !strings.Contains(string(manual), "`"+documented+"`") {
			t.Errorf("docs/metrics.md does not have %s", documented)
		}
		if !strings.Contains(scrape, "\n"+name+"{") && !strings.Contains(scrape, "\n"+name+" ") {
			t.Errorf("no %s in the scrape", name)
		}
	}
	p.terminate()
}

// TestRunInProcess is the whole life of a gateway without a process: what is
// started is stopped, and its ports are free again.
func TestRunInProcess(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	s.Listen, s.AdminListen, s.EmbeddedListen = "127.0.0.1:0", "127.0.0.1:0", settings.Off
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		var at server.Addresses
		log := logging.New(t.Output(), logging.Options{Level: s.LogLevel})
		err := server.Run(ctx, &s, log, server.Options{Started: func(a server.Addresses) {
			at = a
			cancel()
		}})
		if err != nil || at.NATS != "" {
			t.Errorf("ended with %v, was at %+v", err, at)
		}
		if _, err := http.Get(at.Webhook); err == nil {
			t.Error("still answers")
		}
	}
}

// TestDemo runs the demo until it has shown everything. Its consumer has a name that says
// what it is.
func TestDemo(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GATEWAY_LISTEN", "127.0.0.1:0")
	t.Setenv("GATEWAY_ADMIN_LISTEN", "127.0.0.1:0")
	t.Setenv("GATEWAY_EMBEDDED_LISTEN", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const consumer = `"name":"gateway-demo","filters":["\u003e"]`
	consumers := ""
	out := &untilText{text: "until you press Ctrl-C"}
	out.found = func() {
		defer cancel()
		_, rest, _ := strings.Cut(out.String(), "  console  ")
		address, _, _ := strings.Cut(rest, "\n")
		for ctx.Err() == nil && !strings.Contains(consumers, consumer) {
			if response, err := http.Get(address + "/api/consumers"); err == nil {
				text, _ := io.ReadAll(response.Body)
				response.Body.Close()
				consumers = string(text)
			}
		}
	}
	if status := execute(ctx, []string{"demo"}, strings.NewReader(""), out, t.Output()); status != exitDone {
		t.Errorf("status %d", status)
	}
	if !strings.Contains(consumers, consumer) {
		t.Errorf("the consumers: %s", consumers)
	}
	for _, subject := range []string{
		"messenger.682498171943165.GET_STARTED._", "messenger.682498171943165.plan.enterprise", "messenger.682498171943165.add_to_cart.42",
		"instagram.17841405309211844.understood._", "whatsapp.106540352242922.plan.enterprise",
		"telegram.demo_bot.order.=id", "telegram.demo_bot.=referral.spring_sale",
	} {
		if !strings.Contains(out.String(), "NATS received  postback.v1."+subject+"\n") {
			t.Errorf("no %s in\n%s", subject, out)
		}
	}
}

// untilText calls found when it has been written text.
type untilText struct {
	strings.Builder
	text  string
	found func()
}

func (u *untilText) Write(p []byte) (int, error) {
	n, err := u.Builder.Write(p)
	if strings.Contains(u.String(), u.text) {
		u.found()
	}
	return n, err
}
