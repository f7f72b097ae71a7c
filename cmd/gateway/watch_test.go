package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// TestWatch runs the real Prometheus (PROMETHEUS is its path) with the rules of
// deploy/prometheus against real gateways of every mode under load. Every query of
// the rules and of the dashboard has to find something, and the alert of a store that
// is gone has to come and go.
func TestWatch(t *testing.T) {
	binary := os.Getenv("PROMETHEUS")
	if binary == "" {
		t.Skip("PROMETHEUS is not set: make watch")
	}
	w := startWatched(t)
	p := startPrometheus(t, binary, w.all())
	eventually(t, "all gateways are ready", func() bool {
		w.post()
		return len(p.query("gateway_ready == 1")) == len(w.all())
	})
	eventually(t, "Prometheus has evaluated an alert", func() bool { // of a counter that grows from scrape to scrape
		w.post()
		return len(p.query(`ALERTS{severity="warning"}`)) > 0
	})
	// A scrape that takes more than a second on a busy machine is one for a moment.
	eventually(t, "no critical alert while all is well", func() bool { return len(p.query(`ALERTS{severity="critical"}`)) == 0 })

	w.cluster.Kill()
	firing := fmt.Sprintf(`ALERTS{alertname="GatewayNotReady",alertstate="firing",instance=%q}`, w.clustered.instance())
	eventually(t, "the store that is gone fires an alert", func() bool {
		w.post()
		return len(p.query(firing)) == 1
	})

	missing := p.expressions()
	if len(missing) < 100 {
		t.Errorf("only %d queries are found in rules and dashboard", len(missing))
	}
	last := ""
	defer func() {
		if len(missing) > 0 {
			t.Errorf("these find nothing: %s", last)
		}
	}()
	eventually(t, "every query finds something", func() bool {
		w.post()
		missing = slices.DeleteFunc(missing, func(expression string) bool { return len(p.query(expression)) > 0 })
		last = strings.Join(missing, "\n")
		return len(missing) == 0
	})
	p.checkRules()
	p.checkDocumented()

	w.cluster.Start()
	eventually(t, "the alert is over", func() bool { return len(p.query(firing)) == 0 && len(p.query("gateway_ready == 1")) == len(w.all()) })
}

// watched are gateways of every mode.
type watched struct {
	t                           *testing.T
	embedded, clustered, relays *gatewayProcess
	cluster                     *natstest.Server // of clustered
	samples                     [][]byte
	rounds                      int
}

const watchedSecret = "watched"

func startWatched(t *testing.T) *watched {
	t.Helper()
	start := func(env ...string) *gatewayProcess {
		return startGateway(t, t.TempDir(), append(env, "GATEWAY_META_APP_SECRETS=old,"+watchedSecret, "GATEWAY_META_VERIFY_TOKEN=v", "GATEWAY_LOG_LEVEL=info")...)
	}
	w := &watched{t: t, cluster: natstest.Start(t, "")}
	behind := natstest.Start(t, "")
	w.embedded = start()
	w.clustered = start("GATEWAY_NATS_URL=" + w.cluster.URL())
	w.relays = start("GATEWAY_NATS_URL="+behind.URL(), "GATEWAY_RELAY=true")
	if _, err := natstest.JetStream(t, w.embedded.at.NATS).CreateConsumer(t.Context(), "POSTBACKS",
		jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	for _, platform := range schema.Platforms() {
		if platform.Webhook != schema.UnknownPlatform {
			continue // the samples are posted to Meta's webhook
		}
		files, err := filepath.Glob("../../ingest/testdata/" + platform.Name + "/*.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, ".golden.json") {
				w.samples = append(w.samples, []byte(readText(t, file)))
			}
		}
	}
	return w
}

func (w *watched) all() []*gatewayProcess {
	return []*gatewayProcess{w.embedded, w.clustered, w.relays}
}

// post sends every gateway a round of what comes in a long life: clicks, repeated
// ones, the samples of every platform, malformed bodies and items, too large events,
// wrong signatures, bodies written anew, and what is no webhook.
func (w *watched) post() {
	w.t.Helper()
	w.rounds++
	clicks := []simulate.Click{
		{Account: "1", User: "u", Payload: "plan:pro"}, {Account: "1", User: "u", Payload: "rate:5"},
		{Account: "2", User: "u", Payload: "plan:pro", ID: "m_repeated"},
	}
	if w.rounds == 1 {
		clicks = append(clicks, simulate.Click{Account: "1", User: "u", Payload: strings.Repeat("x", 2<<20)})
	}
	for _, p := range w.all() {
		body := simulate.Messenger(clicks...)
		p.post(watchedSecret, body)
		p.post("old", simulate.Messenger(clicks[:2]...))
		p.post("wrong", body[:min(len(body), 500)])
		p.send(body, "")
		p.send([]byte(" "+string(body[:min(len(body), 500)])), simulate.Sign(watchedSecret, body[:min(len(body), 500)]))
		p.get(p.at.Webhook + "/webhooks/meta?hub.mode=subscribe&hub.verify_token=v&hub.challenge=c")
		p.get(p.at.Webhook + "/favicon.ico")
		for _, sample := range w.samples {
			p.post(watchedSecret, sample)
		}
		p.post(watchedSecret, fmt.Appendf(nil, "not JSON %d", w.rounds)) // another dead letter each time
	}
}

// send posts a body with a signature of the test's own; an empty one is left out.
func (p *gatewayProcess) send(body []byte, signature string) {
	p.t.Helper()
	request, err := http.NewRequest(http.MethodPost, p.at.Webhook+"/webhooks/meta", bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if signature != "" {
		request.Header.Set("X-Hub-Signature-256", signature)
	}
	p.do(request)
}

// instance is the gateway's name in Prometheus.
func (p *gatewayProcess) instance() string { return strings.TrimPrefix(p.at.Admin, "http://") }

// prometheusProcess is a Prometheus of its own.
type prometheusProcess struct {
	t   *testing.T
	url string
}

// startPrometheus returns when it answers queries. It scrapes and evaluates every
// second, and alerts do not wait for minutes.
func startPrometheus(t *testing.T, binary string, gateways []*gatewayProcess) *prometheusProcess {
	t.Helper()
	dir, port := t.TempDir(), natstest.FreePort(t)
	impatient := regexp.MustCompile(`(?m)^( +)(for|interval): \w+$`).ReplaceAllString(readText(t, rulesFile), "$1$2: 1s")
	var targets []string
	for _, g := range gateways {
		targets = append(targets, fmt.Sprintf("%q", g.instance()))
	}
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n" +
		"scrape_configs: [{job_name: postback-gateway, static_configs: [{targets: [" + strings.Join(targets, ", ") + "]}]}]\n"
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": impatient} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
		fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus:\n%s", &log)
		}
	})
	p := &prometheusProcess{t, fmt.Sprintf("http://127.0.0.1:%d", port)}
	eventually(t, "Prometheus is ready", func() bool {
		response, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return p
}

// get decodes the data of an answer of the API.
func (p *prometheusProcess) get(path string, query url.Values, data any) {
	p.t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(p.url + "/api/v1/" + path + "?" + query.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "success" {
		p.t.Fatalf("%s %v: %v\n%s", path, query, err, text)
	}
}

// sample is one series of the answer to a query.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

func (p *prometheusProcess) query(expression string) []sample {
	p.t.Helper()
	var data struct{ Result []sample }
	p.get("query", url.Values{"query": {expression}}, &data)
	return data.Result
}

type rule struct{ Name, Query, Type, Health, LastError string }

func (p *prometheusProcess) rules() []rule {
	p.t.Helper()
	var data struct{ Groups []struct{ Rules []rule } }
	p.get("rules", nil, &data)
	var all []rule
	for _, group := range data.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// checkRules: each rule can be evaluated, its templates too.
func (p *prometheusProcess) checkRules() {
	p.t.Helper()
	for _, r := range p.rules() {
		if r.Health != "ok" {
			p.t.Errorf("%s: %s: %s", r.Name, r.Health, r.LastError)
		}
	}
}

// checkDocumented: what the reference names is there. TestMetricsAreDocumented looks
// the other way.
func (p *prometheusProcess) checkDocumented() {
	p.t.Helper()
	for _, name := range found(readText(p.t, "../../docs/metrics.md"), "(?m)^\\| `(gateway_\\w+)`") {
		if len(p.query(fmt.Sprintf(`{__name__=~"%s(_count)?"}`, name))) == 0 {
			p.t.Errorf("docs/metrics.md has %s, which is in no scrape", name)
		}
	}
}

// notHere are queries that need what a test cannot have.
var notHere = []string{
	"instance:gateway_disk_left:seconds", // a disk that becomes full
}

// expressions are all queries that have to find something: those of the dashboard and
// of the recording rules, and of the alerts, which had better find nothing, each
// selector.
func (p *prometheusProcess) expressions() []string {
	p.t.Helper()
	var all []string
	for _, r := range p.rules() {
		if r.Type == "recording" && !slices.Contains(notHere, r.Name) {
			all = append(all, r.Query)
		}
		all = append(all, selectors(r.Query)...)
	}
	for _, query := range readDashboard(p.t).queries() {
		if strings.Contains(query, "$") {
			p.t.Errorf("dashboard: %s: an unknown variable", query)
		}
		all = append(append(all, query), selectors(query)...)
	}
	return slices.DeleteFunc(all, func(e string) bool { return slices.Contains(notHere, e) })
}

// selectors returns the selectors of series in an expression.
func selectors(expression string) []string {
	return found(expression, `\b((?:[a-z]+:)?(?:gateway|go|process)_[a-z0-9_:]+(?:\{[^}]*\})?|up\b)`)
}

// queries returns the expressions with the variables' values in their place.
func (d dashboard) queries() []string {
	var all []string
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			all = append(all, regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).ReplaceAllString(v.Definition, `count by ($2) ($1)`))
		}
	}
	values := strings.NewReplacer("$__rate_interval", "1m", "$__range", "5m", "$job", ".+", "$instance", ".+", "$platform", ".+")
	for i := range all {
		all[i] = values.Replace(all[i])
	}
	return all
}
