package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
)

// These tests do what docs/operations.md says of moving between the modes.

// mover is a gateway that is started again and again on one data directory, in
// other modes, while deliveries come.
type mover struct {
	*gatewayProcess
	t     *testing.T
	fixed []string // settings that stay
	flow  *running
}

func startMover(t *testing.T) *mover {
	t.Helper()
	listen, embedded := freeAddress(t), freeAddress(t)
	m := &mover{t: t, fixed: []string{"GATEWAY_LOG_LEVEL=info", "GATEWAY_LISTEN=" + listen, "GATEWAY_EMBEDDED_LISTEN=" + embedded}}
	m.gatewayProcess = startGateway(t, t.TempDir(), m.fixed...)
	m.flow = traffic{base: "http://" + listen, secret: m.secret(), name: "m", clients: 8, pause: 2 * time.Millisecond}.start(t)
	return m
}

func freeAddress(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t)) }

// restart stops the gateway in order and starts it in another mode.
func (m *mover) restart(env ...string) {
	m.t.Helper()
	m.terminate()
	m.gatewayProcess = startGateway(m.t, m.dir, slices.Concat(m.fixed, env)...)
}

// keepForEver takes the age limit from a stream that was created without a relay.
func keepForEver(t *testing.T, url, name string) {
	t.Helper()
	js := natstest.JetStream(t, url)
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	if cfg.MaxAge != 7*24*time.Hour {
		t.Errorf("%s is created with a maximum age of %s", name, cfg.MaxAge)
	}
	cfg.MaxAge = 0
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// TestMoveToCluster takes a gateway from its embedded server to a cluster under load,
// with a relay in between. Every event that was answered 200 is in the cluster, once;
// a service that is moved from one to the other gets each of them.
func TestMoveToCluster(t *testing.T) {
	t.Parallel()
	cluster := natstest.Start(t, "")
	m := startMover(t)
	m.flow.awaitGood(t, 500)
	before := startService(t, m.at.NATS, jetstream.ConsumerConfig{})
	keepForEver(t, m.at.NATS, "POSTBACKS")

	m.restart("GATEWAY_NATS_URL="+cluster.URL(), "GATEWAY_RELAY=true")
	m.flow.awaitGood(t, 500)
	eventually(t, "the relay has caught up", func() bool { return m.relayLag() < time.Second })
	relayed, err := natstest.JetStream(t, cluster.URL()).Stream(t.Context(), "POSTBACKS")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first events are in the cluster for longer than a handover", func() bool {
		message, err := relayed.GetMsg(t.Context(), 300) // more than wantServed checks
		return err == nil && time.Since(message.Time) > 2*handover
	})

	// The service stops when it has caught up, and goes on in the cluster from a little
	// before that moment.
	before.awaitCaughtUp()
	since := time.Now().Add(-handover)
	before.stop()
	m.flow.awaitGood(t, 200) // nobody serves these until the service is there again
	after := startService(t, cluster.URL(), jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since})
	m.flow.awaitGood(t, 500)

	// The gateway, while deliveries come: its stop leaves nothing behind.
	relaying := m.gatewayProcess
	m.restart("GATEWAY_NATS_URL=" + cluster.URL())
	relaying.wantLogged(`"msg":"everything is relayed"`)
	if strings.Contains(relaying.log.String(), "drops events by their age") {
		t.Errorf("the stream would lose events that are not relayed:\n%s", relaying.log)
	}
	m.flow.awaitGood(t, 500)
	answers := m.flow.stop()
	m.flow.redeliver(t, answers)
	wantOnce(t, cluster.URL(), answers)
	wantServed(t, answers, before, after)
	m.terminate()
}

// handover is how much of what a service has done already it does again when it is
// moved: more than clocks differ and than it is behind.
const handover = 2 * time.Second

// relayLag is for how long the oldest event has waited for the relay.
func (m *mover) relayLag() time.Duration {
	m.t.Helper()
	_, text := m.get(m.at.Admin + "/readyz")
	var n int
	var age string
	if _, err := fmt.Sscanf(text, "ready\nrelay: %d events wait to be relayed, the oldest for %s", &n, &age); err != nil {
		return 0
	}
	lag, err := time.ParseDuration(age)
	if err != nil {
		return time.Hour // there is trouble
	}
	return lag
}

// service is a consumer's program, with a durable consumer of its own.
type service struct {
	t       *testing.T
	reading jetstream.ConsumeContext
	durable jetstream.Consumer

	mu   sync.Mutex
	seen map[string]int
}

func startService(t *testing.T, url string, cfg jetstream.ConsumerConfig) *service {
	t.Helper()
	s := &service{t: t, seen: make(map[string]int)}
	js := natstest.JetStream(t, url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	cfg.Durable, cfg.AckPolicy, cfg.AckWait = "billing", jetstream.AckExplicitPolicy, 2*time.Second
	var err error
	if s.durable, err = js.CreateConsumer(t.Context(), "POSTBACKS", cfg); err != nil {
		t.Fatal(err)
	}
	if s.reading, err = s.durable.Consume(s.handle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.reading.Stop)
	return s
}

func (s *service) handle(m jetstream.Msg) {
	var e struct{ ID string }
	if err := json.Unmarshal(m.Data(), &e); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	s.seen[e.ID]++
	s.mu.Unlock()
	_ = m.Ack()
}

// awaitCaughtUp returns when only the last moment's events are not acknowledged.
func (s *service) awaitCaughtUp() {
	s.t.Helper()
	eventually(s.t, "the service has caught up", func() bool {
		info, err := s.durable.Info(s.t.Context())
		return err == nil && info.NumPending+info.Delivered.Stream-info.AckFloor.Stream < 50
	})
}

// stop works off what the service has been given.
func (s *service) stop() {
	s.reading.Drain()
	<-s.reading.Closed()
}

func (s *service) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[id] > 0
}

// wantServed waits until one of the services has had each event, and checks that the
// second one was spared what the first one had long before.
func wantServed(t *testing.T, answers []answer, before, after *service) {
	t.Helper()
	eventually(t, "every event was served", func() bool {
		return !slices.ContainsFunc(answers, func(a answer) bool { return !before.has(a.id) && !after.has(a.id) })
	})
	both := 0
	for i, a := range answers {
		if before.has(a.id) && after.has(a.id) {
			both++
			if i < 200 {
				t.Errorf("%s, one of the first events, came again in the cluster", a.id)
			}
		}
	}
	t.Logf("%d events, %d of them served before and after the move", len(answers), both)
}

// TestMoveBackToEmbedded: without its relay a gateway goes on with the store that it
// has. The relay's consumer is deleted, because it would hold what comes from then on.
func TestMoveBackToEmbedded(t *testing.T) {
	t.Parallel()
	cluster := natstest.Start(t, "")
	listen := freeAddress(t)
	m := &mover{t: t, fixed: []string{"GATEWAY_LISTEN=" + listen}}
	m.gatewayProcess = startGateway(t, t.TempDir(), append(m.fixed, "GATEWAY_NATS_URL="+cluster.URL(), "GATEWAY_RELAY=true")...)
	first := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a", ID: "m_1"})
	m.mustPost(first)
	m.awaitRelayed()
	m.restart()
	m.mustPost(simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a", ID: "m_2"}))
	status, body := m.post(m.secret(), first)
	wantAnswer(t, status, body, `{"accepted":0,"duplicates":1,"ignored":0,"rejected":0}`)
	js := natstest.JetStream(t, m.at.NATS)
	if err := js.DeleteConsumer(t.Context(), "POSTBACKS", stream.RelayConsumer); err != nil {
		t.Error(err)
	}
	if found := storedIDs(t, m.at.NATS); len(found) != 2 || found["m_1"] != 1 || found["m_2"] != 1 {
		t.Errorf("stored here: %v", found)
	}
	if found := storedIDs(t, cluster.URL()); len(found) != 1 {
		t.Errorf("stored in the cluster: %v", found)
	}
	m.terminate()
}

// TestStopLeavesNothingToRelay: a gateway that stops while the cluster is there has
// moved what it answered 200, and says so; otherwise it says what it leaves.
func TestStopLeavesNothingToRelay(t *testing.T) {
	t.Parallel()
	cluster := natstest.Start(t, "")
	p := startGateway(t, t.TempDir(), "GATEWAY_NATS_URL="+cluster.URL(), "GATEWAY_RELAY=true", "GATEWAY_LOG_LEVEL=info")
	flow := traffic{base: p.at.Webhook, secret: p.secret(), name: "m", clients: 16, pause: time.Millisecond}.start(t)
	flow.awaitGood(t, 1000)
	p.terminate()
	answers := flow.stop()
	found := storedIDs(t, cluster.URL())
	for _, a := range answers {
		if a.status == http.StatusOK && found[a.id] != 1 {
			t.Errorf("%s was answered 200 and is in the cluster %d times", a.id, found[a.id])
		}
	}
	p.wantLogged(`"msg":"everything is relayed"`)

	cluster.Kill()
	p = startGateway(t, t.TempDir(), "GATEWAY_NATS_URL="+cluster.URL(), "GATEWAY_RELAY=true")
	p.mustPost(simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a"}))
	p.terminate()
	p.wantLogged("not everything is relayed: what is not stays in the data directory")
}

// wantLogged checks the log of a gateway that has ended.
func (p *gatewayProcess) wantLogged(text string) {
	p.t.Helper()
	if !strings.Contains(p.log.String(), text) {
		p.t.Errorf("the log lacks %s:\n%s", text, p.log)
	}
}
