package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/relay"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// relayed is a local store with a relay to a server.
type relayed struct {
	*Publisher
	t       testing.TB
	relay   *relay.Relay
	local   jetstream.JetStream
	log     *natstest.Log
	reg     *prometheus.Registry
	metrics *relay.Metrics
	servers *monitor.ServerMetrics
	server  *natstest.Server
}

func startRelayed(t testing.TB, server *natstest.Server, change func(local, cluster *Config)) *relayed {
	t.Helper()
	needs := embeddedConfig(t)
	cluster := serverConfig(server)
	needs.Relayed = true
	if change != nil {
		change(&needs, &cluster)
	}
	r := &relayed{t: t, server: server, reg: prometheus.NewRegistry()}
	r.Publisher, _ = mustOpenWith(t, needs, r.reg)
	r.local = natstest.JetStream(t, "", inProcess(needs))
	var err error
	if r.metrics, err = relay.NewMetrics(r.reg); err != nil {
		t.Fatal(err)
	}
	if r.servers, err = monitor.NewServerMetrics(r.reg); err != nil {
		t.Fatal(err)
	}
	r.open(cluster)
	return r
}

func (r *relayed) open(cluster Config) {
	r.t.Helper()
	r.log = &natstest.Log{}
	cluster.ServerMetrics = r.servers
	opened, err := relay.Open(withDeadline(r.t, 20*time.Second), r.Publisher, relay.Config{Config: cluster, Metrics: r.metrics, Log: slog.New(slog.NewTextHandler(r.log, nil))})
	if err != nil {
		r.t.Fatal(err)
	}
	r.relay = opened
	r.t.Cleanup(r.close)
}

func (r *relayed) close() {
	if err := r.relay.Close(context.Background()); err != nil {
		r.t.Errorf("Close: %v", err)
	}
}

func (r *relayed) backlog() relay.Backlog {
	r.t.Helper()
	b, err := r.relay.Backlog(withDeadline(r.t, 5*time.Second))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *relayed) drained() {
	r.t.Helper()
	eventually(r.t, "everything is relayed", func() bool { return r.backlog().Messages == 0 })
}

// arrivedMessages returns what the cluster has, events or not, in its order.
func (r *relayed) arrivedMessages() (all []*stream.Message) {
	r.t.Helper()
	nc := natstest.JetStream(r.t, r.server.URL()).Conn()
	for seq := uint64(1); ; {
		m, err := stream.GetMessage(withDeadline(r.t, 5*time.Second), nc, "POSTBACKS", stream.Query{Seq: seq, Filter: ">"})
		if err != nil {
			r.t.Fatal(err)
		}
		if m == nil {
			return all
		}
		all = append(all, m)
		seq = m.Sequence + 1
	}
}

// arrived returns the ids in the cluster's stream, in its order.
func (r *relayed) arrived(stream string) []string {
	r.t.Helper()
	var ids []string
	for _, m := range stored(r.t, natstest.JetStream(r.t, r.server.URL()), stream) {
		ids = append(ids, m.Header.Get(jetstream.MsgIDHeader))
	}
	return ids
}

func TestRelay(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), nil)
	events := clicks("m", 3*stream.MaxBatch+7)
	mustPublish(t, r.Publisher, append(events, rubbish("x"), rubbish("y"))...)
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, events)) {
		t.Errorf("%d events arrived, in another order or other ones", len(got))
	}
	if got := r.arrived("POSTBACKS_DEADLETTER"); len(got) != 2 {
		t.Errorf("dead letters: %v", got)
	}
	local, cluster := stored(t, r.local, "POSTBACKS"), stored(t, natstest.JetStream(t, r.server.URL()), "POSTBACKS")
	for i := range cluster {
		a, b := local[i], cluster[i]
		a.Header.Del("Nats-Time-Stamp")
		b.Header.Del("Nats-Time-Stamp")
		if a.Subject != b.Subject || string(a.Data) != string(b.Data) || fmt.Sprint(a.Header) != fmt.Sprint(b.Header) {
			t.Fatalf("event %d:\nhere  %s %v %s\nthere %s %v %s", i, a.Subject, a.Header, a.Data, b.Subject, b.Header, b.Data)
		}
	}
	if got := r.backlog(); got != (relay.Backlog{}) || got.String() != "everything is relayed" {
		t.Errorf("%+v", got)
	}
	eventually(t, "the metrics tell it", func() bool {
		return metric(t, r.reg, "gateway_relayed_events_total") == float64(len(events)+2) &&
			metric(t, r.reg, "gateway_relay_pending_events") == 0 && metric(t, r.reg, "gateway_nats_connected") == 1
	})
}

// TestRelayWaitsForTheCluster: deliveries do not notice that it is away.
func TestRelayWaitsForTheCluster(t *testing.T) {
	needsProcess(t)
	server := natstest.New(t, natstest.FreePort(t), "")
	r := startRelayed(t, server, nil)
	var all []schema.Item
	post := func(prefix string) {
		t.Helper()
		events := clicks(prefix, stream.MaxBatch+3)
		for _, o := range mustPublish(t, r.Publisher, events...) {
			if o != schema.Stored {
				t.Fatalf("outcome %s", o)
			}
		}
		all = append(all, events...)
	}
	for _, prefix := range []string{"before", "between", "after"} {
		post(prefix)
		eventually(t, "the backlog is told", func() bool {
			b := r.backlog()
			return b.Messages == stream.MaxBatch+3 && b.Age > 0 && strings.Contains(b.LastError, server.URL())
		})
		if err := r.Ready(withDeadline(t, 5*time.Second)); err != nil {
			t.Errorf("an event can be stored, and Ready says: %v", err)
		}
		eventually(t, "the metrics tell it", func() bool {
			return metric(t, r.reg, "gateway_relay_pending_events") == stream.MaxBatch+3 && metric(t, r.reg, "gateway_relay_lag_seconds") > 0 &&
				metric(t, r.reg, "gateway_nats_connected") == 0
		})
		server.Start()
		r.drained()
		server.Kill()
	}
	server.Start()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, all)) {
		t.Errorf("%d of %d events arrived, in another order or other ones", len(got), len(all))
	}
}

// TestRelayResumes: after a restart the first event that is not moved comes
// first, also where the last relay had taken it already.
func TestRelayResumes(t *testing.T) {
	needsProcess(t)
	server := natstest.New(t, natstest.FreePort(t), "")
	r := startRelayed(t, server, nil)
	events := clicks("m", 2*stream.MaxBatch)
	mustPublish(t, r.Publisher, events...)
	eventually(t, "events are taken", func() bool { return r.backlog().Age > 0 })
	r.close()
	server.Start()
	r.open(serverConfig(server))
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, events)) {
		t.Errorf("%d of %d events arrived, in another order or other ones", len(got), len(events))
	}
}

// TestRelaySendsAgain: what was moved but not acknowledged on this machine, as
// after a crash, is there once.
func TestRelaySendsAgain(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), nil)
	events := clicks("m", 20)
	mustPublish(t, r.Publisher, events...)
	r.drained()
	r.close()
	if err := r.local.DeleteConsumer(t.Context(), "POSTBACKS", stream.RelayConsumer); err != nil {
		t.Fatal(err)
	}
	r.open(serverConfig(r.server))
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, events)) {
		t.Errorf("arrived: %v", got)
	}
}

// TestRelayReadsAgain: what interrupts the reading of the local stream is over by itself.
func TestRelayReadsAgain(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), nil)
	events := clicks("m", 20)
	mustPublish(t, r.Publisher, events[:10]...)
	r.drained()
	if err := r.local.DeleteConsumer(t.Context(), "POSTBACKS", stream.RelayConsumer); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, r.Publisher, events[10:]...)
	eventually(t, "the log tells it", func() bool {
		text := r.log.String()
		return strings.Contains(text, "the local stream POSTBACKS cannot be read") && strings.Contains(text, "the relay of stream POSTBACKS goes on")
	})
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, events)) {
		t.Errorf("arrived: %v", got)
	}
}

// TestRelayPassesDisguised: the client library takes a message without data and with a
// status for a word of the server. Another program's message that looks like one is
// moved like all others, and nothing behind it waits or is lost.
func TestRelayPassesDisguised(t *testing.T) {
	needsProcess(t)
	for _, status := range []nats.Header{
		{"Status": {"409"}, "Description": {"Consumer Deleted"}},
		{"Status": {"409"}, "Description": {"Batch Completed"}},
		{"Status": {"404"}},
		{"Status": {"408"}},
		{"Status": {"100"}},
		{"Status": {"400"}},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r := startRelayed(t, natstest.Start(t, ""), nil)
			mustPublish(t, r.Publisher, clicks("a", 2)...)
			for _, id := range []string{"x", "y"} {
				disguised := &nats.Msg{Subject: "postback.v1.messenger.PAGE.plan." + id, Header: maps.Clone(status)}
				disguised.Header.Set(jetstream.MsgIDHeader, id)
				if _, err := r.local.PublishMsg(t.Context(), disguised); err != nil {
					t.Fatal(err)
				}
			}
			mustPublish(t, r.Publisher, clicks("b", 2)...)
			r.drained()
			var got []string
			for _, m := range r.arrivedMessages() {
				got = append(got, strings.TrimPrefix(m.Header.Get(jetstream.MsgIDHeader), "messenger:PAGE:"))
				if m.Header.Get("Status") != "" {
					t.Errorf("message %d still looks like a status", m.Sequence)
				}
			}
			if want := []string{"a-0", "a-1", "x", "y", "b-0", "b-1"}; !slices.Equal(got, want) {
				t.Errorf("arrived: %v, want %v", got, want)
			}
		})
	}
}

// TestRelayDropsControlHeaders: what another program's message says to the server of
// this machine is not said to the cluster's, which is in another state: it would
// refuse the message for ever, or drop others for it.
func TestRelayDropsControlHeaders(t *testing.T) {
	needsProcess(t)
	for _, control := range []nats.Header{
		{"Nats-Expected-Stream": {"POSTBACKS"}},
		{"Nats-Expected-Last-Sequence": {"2"}},
		{"Nats-Expected-Last-Subject-Sequence": {"2"}},
		{"Nats-Expected-Last-Msg-Id": {"messenger:PAGE:a-1"}},
		{"Nats-Rollup": {"all"}},
		{"Nats-TTL": {"1h"}},
		{"Nats-Schedule": {"@at 2100-01-01T00:00:00Z"}, "Nats-Schedule-Target": {"postback.v1.messenger.PAGE.later._"}},
	} {
		t.Run(fmt.Sprint(control), func(t *testing.T) { testControlHeaders(t, control) })
	}
}

func testControlHeaders(t *testing.T, control nats.Header) {
	r := startRelayed(t, natstest.Start(t, ""), func(local, cluster *Config) {
		cluster.Stream = "CLUSTER"
		obedientStream(t, natstest.JetStream(t, "", inProcess(*local)), local)
		obedientStream(t, natstest.JetStream(t, cluster.Servers), cluster)
	})
	mustPublish(t, r.Publisher, clicks("a", 2)...)
	r.drained()
	publishForeign(t, natstest.JetStream(t, r.server.URL()), click("there", "plan:enterprise"), nil)

	header := nats.Header{"Content-Type": {"application/json"}, "traceparent": {"00-1-2-01"}, "tracestate": {"a=b"}, "X-Shop": {"1", "2"}}
	all := maps.Clone(header)
	maps.Copy(all, control)
	publishForeign(t, r.local, click("foreign", "plan:enterprise"), all)
	mustPublish(t, r.Publisher, click("after", "b"))
	r.drained()
	var want []string
	for _, id := range []string{"a-0", "a-1", "there", "foreign", "after"} {
		want = append(want, "messenger:PAGE:"+id)
	}
	if got := r.arrived("CLUSTER"); !slices.Equal(got, want) {
		t.Fatalf("arrived: %v, want %v", got, want)
	}
	got := stored(t, natstest.JetStream(t, r.server.URL()), "CLUSTER")[3].Header
	for name := range all {
		if !slices.Equal(got[name], header[name]) {
			t.Errorf("%s: %q, want %q", name, got[name], header[name])
		}
	}
}

// obedientStream creates a stream that does what headers say.
func obedientStream(t *testing.T, js jetstream.JetStream, cfg *Config) {
	t.Helper()
	s := cfg.Settings.Config(stream.Events)
	s.AllowRollup, s.AllowMsgTTL, s.AllowMsgSchedules = true, true, true
	s.Discard = jetstream.DiscardOld // schedules need it
	if _, err := js.CreateStream(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// TestRelayToSmallerMessages: a cluster that takes less than the store of this
// machine gets a dead letter in the place of what is too large.
func TestRelayToSmallerMessages(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, "max_payload: 8KB"), nil)
	large := click("large", "plan:"+strings.Repeat("x", 20000))
	mustPublish(t, r.Publisher, click("a", "a"), large, click("b", "b"), rubbish(strings.Repeat("y", 20000)))
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, []string{"messenger:PAGE:a", "messenger:PAGE:b"}) {
		t.Errorf("arrived: %v", got)
	}
	reasons := map[schema.Reason]int{}
	for _, m := range stored(t, natstest.JetStream(t, r.server.URL()), "POSTBACKS_DEADLETTER") {
		var d schema.DeadLetter
		if err := json.Unmarshal(m.Data, &d); err != nil {
			t.Fatal(err)
		}
		reasons[d.Reason]++
		if !d.Truncated || d.Length < 20000 || len(m.Data) > 8<<10 {
			t.Errorf("%s: truncated %v, length %d, %d bytes", d.Reason, d.Truncated, d.Length, len(m.Data))
		}
	}
	if reasons[schema.ReasonTooLarge] != 1 || reasons[schema.ReasonNotJSON] != 1 {
		t.Errorf("dead letters: %v", reasons)
	}
}

// TestRelayIsPatientWithTheCluster: what is wrong over there is told and tried
// again; it does not end a gateway that can store.
func TestRelayIsPatientWithTheCluster(t *testing.T) {
	needsProcess(t)
	server := natstest.Start(t, `authorization { user: "gw", password: "pw" }`)
	r := startRelayed(t, server, func(_, cluster *Config) { cluster.User, cluster.Password = "gw", "wrong" })
	mustPublish(t, r.Publisher, clicks("m", 3)...)
	eventually(t, "the error is reported", func() bool {
		return strings.Contains(r.backlog().LastError, "check the user and the password")
	})
	select {
	case err := <-r.Err():
		t.Errorf("the gateway would end: %v", err)
	default:
	}
	eventually(t, "the error is logged", func() bool {
		return strings.Contains(r.log.String(), "the relay of stream POSTBACKS waits, and tries again")
	})
	if text := r.log.String(); strings.Contains(text, "wrong") {
		t.Errorf("log: %s", text)
	}
}

func TestRelayRefusesWrongSettings(t *testing.T) {
	local := mustOpen(t, embeddedConfig(t))
	cfg := testConfig()
	cfg.Servers, cfg.Creds = "nats://127.0.0.1:4", "/no/such/file"
	_, err := relay.Open(t.Context(), local, relay.Config{Config: cfg, Log: slog.New(slog.DiscardHandler)})
	var wrong *publish.ConfigError
	if !errors.As(err, &wrong) || wrong.Field != "Creds" {
		t.Errorf("got %v", err)
	}
}

// TestRelayCloseMovesTheRest: a relay that is stopped while the cluster is there
// leaves nothing behind.
func TestRelayCloseMovesTheRest(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), nil)
	var all []schema.Item
	for i := range 5 {
		events := clicks(fmt.Sprint("m", i), 3*stream.MaxBatch)
		mustPublish(t, r.Publisher, events...)
		all = append(all, events...)
	}
	r.close()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, all)) {
		t.Errorf("%d of %d events arrived, in another order or other ones", len(got), len(all))
	}
	if text := r.log.String(); !strings.Contains(text, `msg="everything is relayed"`) {
		t.Errorf("log: %s", text)
	}
}

// BenchmarkRelay moves a backlog of b.N events to a nats-server process, with no
// deliveries meanwhile. An operation is an event, end to end: read here, stored
// there, acknowledged on both sides.
func BenchmarkRelay(b *testing.B) {
	server := natstest.Start(b, "")
	cfg := embeddedConfig(b)
	cfg.Relayed = true
	local := mustOpen(b, cfg)
	for n, all := 0, clicks("m", b.N); n < b.N; n += 1000 {
		if _, err := local.Publish(context.Background(), all[n:min(n+1000, b.N)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	metrics, err := relay.NewMetrics(nil)
	if err != nil {
		b.Fatal(err)
	}
	relay, err := relay.Open(context.Background(), local, relay.Config{Config: serverConfig(server), Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	for {
		backlog, err := relay.Backlog(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if backlog.Messages == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond) // the resolution of the measurement
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := relay.Close(context.Background()); err != nil {
		b.Error(err)
	}
}
