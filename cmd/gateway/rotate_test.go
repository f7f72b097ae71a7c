package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/logging"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/reload"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// insider is a gateway within the test's process, so that -race sees it, which looks at
// its files every few milliseconds.
type insider struct {
	*gatewayProcess // without a process
	log             *natstest.Log
	end             func() // returns when it has stopped
}

// startInside returns when the gateway with these settings (without GATEWAY_) is up.
func startInside(t *testing.T, given map[string]string) *insider {
	t.Helper()
	all := env("LISTEN", "127.0.0.1:0", "ADMIN_LISTEN", "127.0.0.1:0", "EMBEDDED_LISTEN", "127.0.0.1:0",
		"DATA_DIR", t.TempDir(), "LOG_LEVEL", "debug", "LOG_FORMAT", "json")
	for name, value := range given {
		all[name] = value
	}
	setenv(t, all)
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	in := &insider{gatewayProcess: &gatewayProcess{t: t}, log: &natstest.Log{}}
	ctx, cancel := context.WithCancel(context.Background())
	up, ended := make(chan server.Addresses, 1), make(chan error, 1)
	log := logging.New(in.log, logging.Options{Level: s.LogLevel, Format: s.LogFormat})
	options := server.Options{Started: func(at server.Addresses) { up <- at }, ReloadInterval: 5 * time.Millisecond}
	go func() { ended <- server.Run(ctx, &s, log, options) }()
	in.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended: %v", err)
		}
	})
	select {
	case in.at = <-up:
	case err := <-ended:
		t.Fatalf("the gateway does not start: %v\n%s", err, in.log)
	}
	t.Cleanup(in.end)
	return in
}

func (in *insider) metric(name string) float64 {
	in.t.Helper()
	_, scrape := in.get(in.at.Admin + "/metrics")
	return metricValue(in.t, scrape, name)
}

// awaitLog returns when the log has a line with all of these texts that was not there
// after the first n bytes.
func (in *insider) awaitLog(n int, texts ...string) {
	in.t.Helper()
	eventually(in.t, fmt.Sprintf("a log line with %q in\n%s", texts, in.log), func() bool { return in.logLines(n, texts...) > 0 })
}

// logLines counts the lines with all of these texts, after the first n bytes.
func (in *insider) logLines(n int, texts ...string) (count int) {
	for line := range strings.Lines(in.log.String()[n:]) {
		has := true
		for _, text := range texts {
			has = has && strings.Contains(line, text)
		}
		if has {
			count++
		}
	}
	return count
}

// A way to change a file while somebody reads it.
type writer func(t *testing.T, path, content string)

var writers = map[string]writer{
	"in place": put,
	"renamed": func(t *testing.T, path, content string) {
		t.Helper()
		put(t, path+".new", content)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	},
	"Kubernetes": putLinked,
}

// putLinked changes a mounted Secret as the kubelet does: path is a link to
// ..data/name, and ..data a link to a directory that is exchanged in one step.
func putLinked(t *testing.T, path, content string) {
	t.Helper()
	dir, name := filepath.Split(path)
	fresh, err := os.MkdirTemp(dir, "..2026")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(fresh, name), content)
	if err := os.Symlink(filepath.Base(fresh), filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if old == "" {
		if err := os.Symlink(filepath.Join("..data", name), path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
		t.Fatal(err)
	}
}

// TestAppSecretRotates is the way of docs/deploy.md, under load: old, then old and new,
// a file with a mistake in between, then new alone. Nobody who signs with a secret that
// is listed is refused.
func TestAppSecretRotates(t *testing.T) {
	for how, write := range writers {
		t.Run(how, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "app-secrets")
			const oldSecret, newSecret = hush + "-old", hush + "-new"
			write(t, file, oldSecret+"\n")
			in := startInside(t, env("META_APP_SECRETS_FILE", file, "META_VERIFY_TOKEN", hush))
			olds := traffic{base: in.at.Webhook, secret: oldSecret, name: "old", clients: 4}.start(t)
			olds.awaitGood(t, 20)
			if status, _ := in.post(newSecret, []byte("{}")); status != http.StatusUnauthorized {
				t.Errorf("the new secret before its time: %d", status)
			}

			write(t, file, oldSecret+","+newSecret+"\n")
			in.awaitLog(0, "changed file reloaded", "META_APP_SECRETS_FILE", `"live":2`)
			news := traffic{base: in.at.Webhook, secret: newSecret, name: "new", clients: 4}.start(t)
			news.awaitGood(t, 20)

			n := len(in.log.String())
			write(t, file, oldSecret+",,"+newSecret+"\n")
			in.awaitLog(n, `"level":"ERROR"`, "keeping what was loaded before", "entry 2 is empty: expected entries separated by single commas")
			olds.awaitGood(t, 20)
			news.awaitGood(t, 20)
			if got := in.metric("gateway_secrets_last_reload_successful"); got != 0 {
				t.Errorf("gateway_secrets_last_reload_successful is %v with a bad file", got)
			}
			// A writer that is held up for some milliseconds leaves an empty file, which is told too.
			if got := in.logLines(n, "entry 2 is empty"); got != 1 {
				t.Errorf("the mistake was told %d times", got)
			}

			answers := olds.stop()
			write(t, file, newSecret+"\n")
			in.awaitLog(n, "changed file reloaded", `"live":1`)
			if status, _ := in.post(oldSecret, []byte("{}")); status != http.StatusUnauthorized {
				t.Errorf("the old secret at the end: %d", status)
			}
			news.awaitGood(t, 20)
			for _, a := range append(answers, news.stop()...) {
				if a.status != http.StatusOK {
					t.Fatalf("%s was answered %d, %v", a.id, a.status, a.err)
				}
			}
			_, scrape := in.get(in.at.Admin + "/metrics")
			if strings.Contains(scrape, `platform="meta",secret="2"`) || metricValue(t, scrape, "gateway_secrets_last_reload_successful") != 1 {
				t.Errorf("at the end the metrics are\n%s", strings.Join(found(scrape, `(?m)^(gateway_(?:sec|sig).*)$`), "\n"))
			}
			in.end()
			mustNotTell(t, "the log", in.log.String())
			mustNotTell(t, "/metrics", scrape)
		})
	}
}

// TestSecretsRotate changes all others that callers have to know.
func TestSecretsRotate(t *testing.T) {
	dir := t.TempDir()
	bots, verify := filepath.Join(dir, "bots"), filepath.Join(dir, "verify")
	put(t, bots, "shop:"+hush+"-1")
	put(t, verify, hush+"-1")
	in := startInside(t, env("META_APP_SECRETS", hush, "META_VERIFY_TOKEN_FILE", verify, "TELEGRAM_SECRETS_FILE", bots))
	click := func(bot, token string) int {
		r, err := simulate.TelegramRequest(in.at.Webhook, bot, token, simulate.Telegram(simulate.Click{User: "7", Payload: "a"}))
		if err != nil {
			t.Fatal(err)
		}
		status, _ := in.do(r)
		return status
	}
	handshake := func(token string) int {
		status, _ := in.get(in.at.Webhook + "/webhooks/meta?hub.mode=subscribe&hub.challenge=c&hub.verify_token=" + token)
		return status
	}
	if got := []int{click("shop", hush+"-1"), click("new", hush), handshake(hush + "-1")}; fmt.Sprint(got) != "[200 404 200]" {
		t.Errorf("at first: %v", got)
	}
	put(t, bots, "shop:"+hush+"-1,shop:"+hush+"-2,new:"+hush+"\n")
	put(t, verify, hush+"-2\n")
	in.awaitLog(0, "changed file reloaded", "TELEGRAM_SECRETS_FILE", `"live":3`)
	in.awaitLog(0, "changed file reloaded", "META_VERIFY_TOKEN_FILE", `"live":1`)
	if got := []int{click("shop", hush+"-1"), click("shop", hush+"-2"), click("new", hush), handshake(hush + "-1"), handshake(hush + "-2")}; fmt.Sprint(got) != "[200 200 200 403 200]" {
		t.Errorf("with both: %v", got)
	}
	n := len(in.log.String())
	// Each has its text: before a file is written it is empty, which is told too.
	for _, wrong := range []struct{ content, told string }{{"shop:" + hush + ":" + hush, "does not end with a secret token"}, {"shop", "has no colon"}, {"", "is empty"}} {
		n = len(in.log.String())
		put(t, bots, wrong.content)
		in.awaitLog(n, `"level":"ERROR"`, "TELEGRAM_SECRETS", wrong.told)
	}
	if err := os.Remove(bots); err != nil {
		t.Fatal(err)
	}
	in.awaitLog(n, `"level":"ERROR"`, "no such file")
	if got := click("new", hush); got != 200 {
		t.Errorf("without a file: %d", got)
	}
	put(t, bots, "shop:"+hush+"-2\n")
	in.awaitLog(n, "changed file reloaded", `"live":1`)
	if got := []int{click("shop", hush+"-1"), click("shop", hush+"-2"), click("new", hush)}; fmt.Sprint(got) != "[401 200 404]" {
		t.Errorf("at the end: %v", got)
	}
	_, scrape := in.get(in.at.Admin + "/metrics")
	in.end()
	mustNotTell(t, "the log", in.log.String())
	mustNotTell(t, "/metrics", scrape)
}

// TestEmbeddedTokenRotates: consumers have to come with the new token at once, and
// deliveries do not notice.
func TestEmbeddedTokenRotates(t *testing.T) {
	withoutRaceDetector(t)
	token := writeFile(t, hush+"-1")
	in := startInside(t, env("META_APP_SECRETS", hush, "META_VERIFY_TOKEN", hush, "EMBEDDED_TOKEN_FILE", token))
	lost := make(chan struct{})
	consumer, err := nats.Connect(in.at.NATS, nats.Token(hush+"-1"), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(lost) }))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	flow := traffic{base: in.at.Webhook, secret: hush, name: "d", clients: 4}.start(t)
	flow.awaitGood(t, 20)
	put(t, token, hush+"-2")
	in.awaitLog(0, "changed file reloaded", "EMBEDDED_TOKEN_FILE")
	select {
	case <-lost:
	case <-time.After(natstest.Patience):
		t.Error("a consumer with the old token is still connected")
	}
	flow.awaitGood(t, 20)
	if _, err := nats.Connect(in.at.NATS, nats.Token(hush+"-1")); err == nil {
		t.Error("the old token is still taken")
	}
	natstest.JetStream(t, in.at.NATS, nats.Token(hush+"-2"))
	answers := flow.stop()
	for _, a := range answers {
		if a.status != http.StatusOK {
			t.Errorf("%s was answered %d, %v", a.id, a.status, a.err)
		}
	}
	t.Logf("the slowest of %d deliveries took %s", len(answers), slowest(answers).took)
	in.end()
	mustNotTell(t, "the log", in.log.String())
}

// withoutRaceDetector leaves a test to make test: nats-server 2.15.2 reads statistics of
// connections without care when it refuses a login (sendAuthErrorEvent against
// createClientEx), which is none of ours and harmless, and fails the test.
func withoutRaceDetector(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("nats-server 2.15.2 has a data race where it refuses logins")
	}
}

// TestRelayOutlivesATokenChange: what reads the local store for the relay comes again
// with the new token, too.
func TestRelayOutlivesATokenChange(t *testing.T) {
	withoutRaceDetector(t)
	cluster := natstest.Start(t, "")
	token := writeFile(t, hush+"-1")
	in := startInside(t, env("META_APP_SECRETS", hush, "META_VERIFY_TOKEN", hush, "EMBEDDED_TOKEN_FILE", token, "NATS_URL", cluster.URL(), "RELAY", "true"))
	var answers []answer
	flow := traffic{base: in.at.Webhook, secret: hush, clients: 1}
	for i := range 3 {
		flow.name = fmt.Sprintf("d%d", i)
		running := flow.start(t)
		running.awaitGood(t, 5)
		n := len(in.log.String())
		put(t, token, fmt.Sprintf("%s-%d", hush, i+2))
		in.awaitLog(n, "changed file reloaded", "EMBEDDED_TOKEN_FILE")
		running.awaitGood(t, 5)
		got := running.stop()
		running.redeliver(t, got) // what was answered 503 can be stored, too
		answers = append(answers, got...)
	}
	wantOnly200And503(t, answers)
	eventually(t, "all are relayed", func() bool { return len(storedIDs(t, cluster.URL())) >= len(answers) })
	wantOnce(t, cluster.URL(), answers)
}

// TestNATSPasswordRotates: while the server has another password than the file, nothing
// can be stored; with the right one in the file all goes on.
func TestNATSPasswordRotates(t *testing.T) {
	asks := func(password string) string {
		return `authorization { user: "gw", password: ` + strconv.Quote(password) + ` }`
	}
	server := natstest.Start(t, asks(hush+"-1"))
	file := writeFile(t, hush+"-1")
	in := startInside(t, env("META_APP_SECRETS", hush, "META_VERIFY_TOKEN", hush, "NATS_URL", server.URL(), "NATS_USER", "gw", "NATS_PASSWORD_FILE", file))
	in.awaitReady()
	server.Kill()
	server.Configure(asks(hush + "-2"))
	server.Start()
	in.awaitUnready("not connected to")
	put(t, file, hush+"-2\n")
	in.awaitReady()
	status, body := in.post(hush, simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a"}))
	wantAnswer(t, status, body, `{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`)
	in.end()
	mustNotTell(t, "the log", in.log.String())
}

// TestProcessRereads: the gateway as users have it, with the interval that it has.
func TestProcessRereads(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "old")
	p := startGateway(t, t.TempDir(), "GATEWAY_META_APP_SECRETS_FILE="+file)
	start := time.Now()
	put(t, file, "old,new")
	eventually(t, "the new secret is taken", func() bool {
		status, _ := p.post("new", []byte("{}"))
		return status == http.StatusOK
	})
	if took := time.Since(start); took > 10*reload.DefaultInterval { // two, and what a busy machine adds
		t.Errorf("took %s", took)
	}
	p.terminate()
}
