package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/powercut"
	"github.com/postback-gateway/gateway/schema"
	"github.com/postback-gateway/gateway/schema/schematest"
)

// built is the directory that holds the gateway's binary.
var built string

func TestMain(m *testing.M) {
	powercut.Serve()
	// Most of what runs in parallel waits for a store to come back; -parallel says
	// otherwise.
	_ = flag.Set("test.parallel", "8")
	code := natstest.Run(m)
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// binary builds the gateway as a user would, once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gateway-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "gateway")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// gatewayProcess is a gateway of its own, with nothing of the test's environment.
type gatewayProcess struct {
	t    testing.TB
	cmd  *exec.Cmd
	dir  string
	at   server.Addresses
	log  *bytes.Buffer // everything it wrote to stderr; read it after wait
	done chan struct{} // stderr is at its end
}

// newProcess prepares a gateway in dir on free ports.
func newProcess(t testing.TB, dir string, env ...string) *gatewayProcess {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &gatewayProcess{t: t, dir: dir, log: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(path)
	p.cmd.SysProcAttr = endWithTest
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "GATEWAY_LOG_LEVEL=debug",
		"GATEWAY_LISTEN=127.0.0.1:0", "GATEWAY_ADMIN_LISTEN=127.0.0.1:0", "GATEWAY_EMBEDDED_LISTEN=127.0.0.1:0",
	}, env...)
	return p
}

// startGateway returns when the gateway is up.
func startGateway(t testing.TB, dir string, env ...string) *gatewayProcess {
	t.Helper()
	p := newProcess(t, dir, env...)
	p.start()
	return p
}

func (p *gatewayProcess) start() {
	p.t.Helper()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.kill)
	up := make(chan server.Addresses, 1)
	go p.read(stderr, up)
	select {
	case p.at = <-up:
	case <-p.done:
		p.t.Fatalf("the gateway ended: %v\n%s", p.cmd.Wait(), p.log)
	case <-time.After(30 * time.Second):
		p.t.Fatal("the gateway does not come up")
	}
}

// read finds the line that says where the gateway listens.
func (p *gatewayProcess) read(stderr io.Reader, up chan<- server.Addresses) {
	defer close(p.done)
	lines := bufio.NewReaderSize(stderr, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		p.log.Write(line)
		if at, ok := addressesIn(line); ok {
			up <- at
			break
		}
		if err != nil {
			return
		}
	}
	_, _ = io.Copy(p.log, lines) // at little cost: benchmarks run beside it
}

// addressesIn takes the addresses out of the line that tells them.
func addressesIn(text []byte) (server.Addresses, bool) {
	var line struct{ Msg, Webhook, Admin, NATS string }
	ok := json.Unmarshal(text, &line) == nil && line.Msg == "gateway is up"
	return server.Addresses{Webhook: line.Webhook, Admin: line.Admin, NATS: line.NATS}, ok
}

func (p *gatewayProcess) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// terminate asks the gateway to stop and checks that it does so in order.
func (p *gatewayProcess) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	p.ended()
}

func (p *gatewayProcess) ended() {
	p.t.Helper()
	<-p.done
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("ended with %v\n%s", err, p.log)
	}
}

func (p *gatewayProcess) secret() string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "data", settings.AppSecretFile))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (p *gatewayProcess) post(secret string, body []byte) (int, string) {
	p.t.Helper()
	request, err := simulate.Request(p.at.Webhook, secret, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(request)
}

func (p *gatewayProcess) get(url string) (int, string) {
	p.t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(request)
}

func (p *gatewayProcess) do(request *http.Request) (int, string) {
	p.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, schematest.JSONLine(p.t, response.Header, text)
}

// consumer reads a stream from outside, as a service would.
type consumer struct {
	t        testing.TB
	messages jetstream.MessagesContext
}

func consume(t testing.TB, url, stream string, options ...nats.Option) *consumer {
	t.Helper()
	js := natstest.JetStream(t, url, options...)
	var c jetstream.Consumer
	eventually(t, "a consumer of "+stream, func() (ok bool) { // a leader may just be elected
		var err error
		c, err = js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{})
		return err == nil
	})
	// While a cluster makes the consumer, a request for messages can be lost: ask again soon.
	messages, err := c.Messages(jetstream.PullExpiry(2 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return &consumer{t, messages}
}

func (c *consumer) next() jetstream.Msg {
	c.t.Helper()
	m, err := c.messages.Next(jetstream.NextMaxWait(natstest.Patience))
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// event checks the next message with the JSON Schema and returns it.
func (c *consumer) event() (string, schema.Event, jetstream.Msg) {
	c.t.Helper()
	m := c.next()
	schematest.Event(c.t, m.Data())
	schematest.Subject(c.t, m.Subject())
	var e schema.Event
	if err := json.Unmarshal(m.Data(), &e); err != nil {
		c.t.Fatal(err)
	}
	return m.Subject(), e, m
}

func wantAnswer(t testing.TB, status int, body string, want string) {
	t.Helper()
	if status != http.StatusOK || body != want {
		t.Errorf("answered %d %s, want %s", status, body, want)
	}
}

// TestEndToEnd is the main job with no configuration at all: process, HTTP,
// embedded server, and a NATS client of its own that reads the events.
func TestEndToEnd(t *testing.T) {
	dir := t.TempDir()
	p := startGateway(t, dir)
	events := consume(t, p.at.NATS, "POSTBACKS")
	delivery := simulate.Messenger(
		simulate.Click{Account: "1", User: "u1", Title: "Über uns \U0001F600", Payload: `understood:{"response":"yes"}`, ID: "m_1"},
		simulate.Click{Account: "1", UserRef: "ref", Title: "Plan", Payload: "plan:pro", Ref: "spring", ID: "m_2"},
	)
	status, body := p.post(p.secret(), delivery)
	wantAnswer(t, status, body, `{"accepted":2,"duplicates":0,"ignored":0,"rejected":0}`)

	subject, e, m := events.event()
	if subject != "postback.v1.messenger.1.understood._" || e.ID != "m_1" || e.Data.Title != "Über uns \U0001F600" ||
		e.Data.Payload.Raw != `understood:{"response":"yes"}` || string(e.Data.Payload.Params) != `{"response":"yes"}` {
		t.Errorf("got %s %+v", subject, e)
	}
	want := nats.Header{"Nats-Msg-Id": {"messenger:1:m_1"}, "Content-Type": {"application/cloudevents+json"}}
	if got := m.Headers(); len(got) != 2 || got.Get("Nats-Msg-Id") != want.Get("Nats-Msg-Id") || got.Get("Content-Type") != want.Get("Content-Type") {
		t.Errorf("headers %v, want %v", got, want)
	}
	subject, e, _ = events.event()
	if subject != "postback.v1.messenger.1.plan.pro" || e.Data.User.Ref != "ref" || e.Data.Referral.Ref != "spring" {
		t.Errorf("got %s %+v", subject, e)
	}

	// The platform delivers again: nothing new is stored, also after a restart.
	status, body = p.post(p.secret(), delivery)
	wantAnswer(t, status, body, `{"accepted":0,"duplicates":2,"ignored":0,"rejected":0}`)
	p.terminate()
	p = startGateway(t, dir)
	status, body = p.post(p.secret(), delivery)
	wantAnswer(t, status, body, `{"accepted":0,"duplicates":2,"ignored":0,"rejected":0}`)
	if _, e, _ := consume(t, p.at.NATS, "POSTBACKS").event(); e.ID != "m_1" {
		t.Errorf("after the restart the stream begins with %s", e.ID)
	}
	p.terminate()
}

func TestDeadLetters(t *testing.T) {
	p := startGateway(t, t.TempDir())
	letters := consume(t, p.at.NATS, "POSTBACKS_DEADLETTER")
	if status, body := p.post(p.secret(), []byte("not JSON")); status != 400 {
		t.Errorf("answered %d %s", status, body)
	}
	if m := letters.next(); m.Subject() != "deadletter.postback.v1.meta.not_json" {
		t.Errorf("subject %s", m.Subject())
	}
	// An event that is too large for the server, between two that are not.
	large := simulate.Click{Account: "1", User: "u", Payload: strings.Repeat("x", 2<<20), ID: "large"}
	small := simulate.Click{Account: "1", User: "u", Payload: "a"}
	status, body := p.post(p.secret(), simulate.Messenger(small, large, small))
	wantAnswer(t, status, body, `{"accepted":2,"duplicates":0,"ignored":0,"rejected":1}`)
	m := letters.next()
	var d schema.DeadLetter
	if err := json.Unmarshal(m.Data(), &d); err != nil {
		t.Fatal(err)
	}
	if m.Subject() != "deadletter.postback.v1.messenger.too_large" || !d.Truncated || d.Length < 2<<20 || len(d.Body) < 1<<19 {
		t.Errorf("got %s, %d of %d bytes", m.Subject(), len(d.Body), d.Length)
	}
	p.terminate()
}

// TestEndToEndCluster is the same against a nats-server of the user's, with authentication.
func TestEndToEndCluster(t *testing.T) {
	server := natstest.Start(t, `authorization { user: "gw", password: "pw" }`)
	env := []string{"GATEWAY_NATS_URL=" + server.URL(), "GATEWAY_NATS_USER=gw", "GATEWAY_NATS_PASSWORD=pw",
		"GATEWAY_META_APP_SECRETS=old,new", "GATEWAY_META_VERIFY_TOKEN=vt", "GATEWAY_STREAM=CLICKS", "GATEWAY_SUBJECT_ROOT=shop.clicks"}
	dir := t.TempDir()
	p := startGateway(t, dir, env...)
	events := consume(t, server.URL(), "CLICKS", nats.UserInfo("gw", "pw"))
	for _, secret := range []string{"old", "new"} {
		status, body := p.post(secret, simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro"}))
		wantAnswer(t, status, body, `{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`)
		if subject, _, _ := events.event(); subject != "shop.clicks.messenger.1.plan.pro" {
			t.Errorf("subject %s", subject)
		}
	}
	if status, _ := p.post("other", simulate.Messenger(simulate.Click{Account: "1", User: "u"})); status != 401 {
		t.Errorf("another secret: answered %d", status)
	}
	if status, body := p.get(p.at.Webhook + "/webhooks/meta?hub.mode=subscribe&hub.verify_token=vt&hub.challenge=c"); status != 200 || body != "c" {
		t.Errorf("handshake: answered %d %s", status, body)
	}
	p.terminate()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("a gateway with a cluster and its secrets configured wrote %v, %v", entries, err)
	}
}

// TestShutdownFinishesRequests: a delivery that is being read when the signal
// comes is stored and answered 200.
func TestShutdownFinishesRequests(t *testing.T) {
	p := startGateway(t, t.TempDir())
	body := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a"})
	request, err := simulate.Request(p.at.Webhook, p.secret(), body)
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	request.Body = reader
	request.Header.Set("Expect", "100-continue") // answered when the gateway begins to read
	answered := make(chan string, 1)
	go func() {
		status, text := p.do(request)
		answered <- fmt.Sprint(status, " ", text)
	}()
	if _, err := writer.Write(body[:10]); err != nil { // taken by the transport: it is being read
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for refused := false; !refused; { // the listener is closed: the shutdown is under way
		c, err := http.Get(p.at.Webhook)
		if refused = err != nil; !refused {
			c.Body.Close()
		}
	}
	if _, err := writer.Write(body[10:]); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if got := <-answered; got != `200 {"accepted":1,"duplicates":0,"ignored":0,"rejected":0}` {
		t.Errorf("answered %s", got)
	}
	p.ended()
}

// TestStartFails: what makes a start impossible is said, with what to do.
func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	running := startGateway(t, dir)
	taken := strings.TrimPrefix(running.at.Webhook, "http://")
	takenNATS := strings.TrimPrefix(running.at.NATS, "nats://")
	const ends = `"level":"ERROR","msg":"gateway failed","error":"`
	for _, test := range []struct {
		name   string
		dir    string
		env    string
		status int
		want   string // in the log or as text, and nowhere else
	}{
		{"second process", dir, "GATEWAY_LOG_LEVEL=warn", exitFailed, "belongs to another process"},
		{"port taken", t.TempDir(), "GATEWAY_LISTEN=" + taken, exitFailed, ends + "GATEWAY_LISTEN: cannot listen on " + taken},
		{"NATS port taken", t.TempDir(), "GATEWAY_EMBEDDED_LISTEN=" + takenNATS, exitFailed, ends + "GATEWAY_EMBEDDED_LISTEN"},
		{"as text", dir, "GATEWAY_LOG_FORMAT=text", exitFailed, `level=ERROR msg="gateway failed" error="the data directory`},
		{"wrong setting", t.TempDir(), "GATEWAY_PUBLISH_TIMEOUT=soon", exitUsage, `gateway: GATEWAY_PUBLISH_TIMEOUT: "soon"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProcess(t, test.dir, test.env)
			out, _ := p.cmd.CombinedOutput()
			if status := p.cmd.ProcessState.ExitCode(); status != test.status || !strings.Contains(string(out), test.want) {
				t.Errorf("status %d, want %d with %q\n%s", status, test.status, test.want, out)
			}
			if told := strings.Count(string(out), "ERROR") + strings.Count(string(out), "gateway: "); told != 1 {
				t.Errorf("the error is printed %d times:\n%s", told, out)
			}
			if left, _ := os.ReadDir(test.dir); test.dir != dir && len(left) > 0 {
				t.Errorf("the start leaves %s behind", left)
			}
		})
	}
	running.terminate()
}

// TestCommands runs the commands that talk to a running gateway.
func TestCommands(t *testing.T) {
	p := startGateway(t, t.TempDir())
	t.Chdir(p.dir)
	t.Setenv("GATEWAY_LISTEN", strings.TrimPrefix(p.at.Webhook, "http://"))
	t.Setenv("GATEWAY_ADMIN_LISTEN", strings.TrimPrefix(p.at.Admin, "http://"))
	t.Setenv("GATEWAY_EMBEDDED_LISTEN", strings.TrimPrefix(p.at.NATS, "nats://"))
	for _, payload := range []string{"plan:a", "rate:1", "plan:b", "plan:c"} {
		if out := command(t, exitDone, "send", "--payload", payload); !strings.Contains(out, `200 OK {"accepted":1,`) {
			t.Errorf("send: %s", out)
		}
	}
	command(t, exitFailed, "send", "--secret", "wrong")
	command(t, exitUsage, "send", "--count", "0")
	command(t, exitUsage, "send", "--url", "nonsense")
	command(t, exitFailed, "tail", "plan.>")
	command(t, exitUsage, "tail", "--last", "1", "--since", "1h")
	if out := command(t, exitDone, "health"); out != "ready\n" {
		t.Errorf("health: %q", out)
	}
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"plan.a", "rate.1", "plan.b", "plan.c"}},
		{[]string{"--last", "2"}, []string{"plan.b", "plan.c"}},
		{[]string{"--last", "9"}, []string{"plan.a", "rate.1", "plan.b", "plan.c"}},
		{[]string{"postback.v1.*.*.plan.*", "--last", "3"}, []string{"plan.a", "plan.b", "plan.c"}},
		{[]string{"--since", "1h", "postback.v1.*.*.rate.>"}, []string{"rate.1"}},
	} {
		t.Run(fmt.Sprint(test.args), func(t *testing.T) {
			lines := tailLines(t, len(test.want), test.args...)
			for i, line := range lines {
				if !strings.Contains(line, test.want[i]) {
					t.Errorf("line %d is %s, want %s", i, line, test.want[i])
				}
			}
		})
	}
	p.terminate()
}

func command(t *testing.T, status int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if got := execute(t.Context(), args, strings.NewReader(""), &out, &errs); got != status {
		t.Errorf("gateway %v: status %d, want %d: %s", args, got, status, errs.String())
	}
	return out.String()
}

// tailLines runs gateway tail until it has printed n lines.
func tailLines(t *testing.T, n int, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	reader, writer := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- execute(ctx, append([]string{"tail"}, args...), strings.NewReader(""), writer, io.Discard)
		writer.Close()
	}()
	var lines []string
	for s := bufio.NewScanner(reader); len(lines) < n && s.Scan(); {
		lines = append(lines, s.Text())
	}
	cancel()
	if got := <-status; got != exitDone || len(lines) != n {
		t.Errorf("tail %v: status %d, lines %q", args, got, lines)
	}
	return lines
}

// TestShutdownUnderLoad stops a gateway to which clients post over connections
// that they keep: they see answers, and refused connections, and nothing else.
func TestShutdownUnderLoad(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_LOG_LEVEL=info")
	secret := p.secret()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	var answered atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for {
				request, err := simulate.Request(p.at.Webhook, secret, simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a"}))
				if err != nil {
					t.Error(err)
					return
				}
				request.GetBody = nil // no second try behind the test's back
				response, err := client.Do(request)
				if err != nil {
					if !errors.Is(err, syscall.ECONNREFUSED) {
						t.Errorf("a client sees: %v", err)
					}
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("answered %s", response.Status)
				}
				if answered.Add(1) == 2000 {
					_ = p.cmd.Process.Signal(syscall.SIGTERM)
				}
			}
		})
	}
	wg.Wait()
	p.ended()
}
