package relay_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// TestRelayReplacesDeadConsumer: a consumer that the server cannot read stops no relay.
func TestRelayReplacesDeadConsumer(t *testing.T) {
	needsProcess(t)
	dir := t.TempDir()
	r := startRelayed(t, natstest.Start(t, ""), func(local, _ *Config) {
		local.InProcess = publishtest.Embedded(t, dir)
	})
	events := clicks("m", 20)
	mustPublish(t, r.Publisher, events[:10]...)
	r.drained()
	zeroConsumer(t, r.local, dir, "POSTBACKS", stream.RelayConsumer)
	mustPublish(t, r.Publisher, append(events[10:], rubbish("x"))...)
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, events)) {
		t.Errorf("arrived: %v", got)
	}
	c, err := r.local.Consumer(t.Context(), "POSTBACKS", stream.RelayConsumer)
	if err != nil || !c.CachedInfo().Config.MemoryStorage {
		t.Errorf("not replaced by a consumer in memory: %v, %v", c, err)
	}
	r.close()
	more := clicks("n", 10)
	mustPublish(t, r.Publisher, more...)
	r.open(serverConfig(r.server)) // finds the one in memory
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, append(events, more...))) {
		t.Errorf("arrived: %v", got)
	}
}

// TestRelayOutlivesShortConnections: a connection that is lost in the moment in which
// it was made is one that is lost, and another one is made.
func TestRelayOutlivesShortConnections(t *testing.T) {
	needsProcess(t)
	server := natstest.Start(t, "")
	proxy := natstest.StartProxy(t, server)
	r := startRelayed(t, server, func(_, cluster *Config) { cluster.Servers = proxy.URL() })
	proxy.CutAfterPong(30)
	proxy.Cut()
	for left := proxy.Cuts(); left > 0; left = proxy.Cuts() {
		eventually(t, "another connection is made", func() bool { return proxy.Cuts() < left })
	}
	events := clicks("m", 3)
	mustPublish(t, r.Publisher, events...)
	r.drained()
	if got := r.arrived("POSTBACKS"); !slices.Equal(got, idsOf(t, events)) {
		t.Errorf("arrived: %v", got)
	}
}

// TestRelayPassesWhatDoesNotFit: another program's message that the cluster does not
// take becomes a dead letter, and what is behind it is relayed.
func TestRelayPassesWhatDoesNotFit(t *testing.T) {
	needsProcess(t)
	const limit = 64 << 10
	subject := "postback.v1.messenger.PAGE.plan.x"
	for _, tt := range []struct {
		name    string
		message nats.Msg
		arrives bool // as it is
	}{
		{"as large as the cluster takes", nats.Msg{Subject: subject, Data: make([]byte, limit)}, true},
		{"larger", nats.Msg{Subject: subject, Data: []byte(strings.Repeat("x", limit+1))}, false},
		{"an object that is not an event", nats.Msg{Subject: subject, Data: []byte(`{"a":"` + strings.Repeat("x", limit) + `"}`)}, false},
		{"an event of another platform", nats.Msg{Subject: subject, Data: []byte(`{"data":{"platform":"a b","x":"` + strings.Repeat("x", limit) + `"}}`)}, false},
		{"with large headers", nats.Msg{Subject: subject, Data: make([]byte, limit-1000), Header: nats.Header{"X-Large": {strings.Repeat("x", 2000)}}}, false},
		{"a large id", nats.Msg{Subject: subject, Data: make([]byte, limit-1000), Header: nats.Header{"Nats-Msg-Id": {strings.Repeat("x", 2000)}}}, false},
		{"no dead letter among dead letters", nats.Msg{Subject: "deadletter.postback.v1.meta.not_json", Data: []byte(`{"a":"` + strings.Repeat("x", limit) + `"}`)}, false},
		{"another subject", nats.Msg{Subject: "orders.1", Data: []byte("x")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startRelayed(t, natstest.Start(t, "max_payload: 64KB"), func(local, _ *Config) {
				wide := local.Settings.Config(stream.Events)
				wide.Subjects = append(wide.Subjects, "orders.>")
				if _, err := natstest.JetStream(t, "", inProcess(*local)).CreateStream(t.Context(), wide); err != nil {
					t.Fatal(err)
				}
			})
			mustPublish(t, r.Publisher, click("a", "a"))
			if _, err := r.local.PublishMsg(t.Context(), &tt.message); err != nil {
				t.Fatal(err)
			}
			mustPublish(t, r.Publisher, click("b", "b"))
			r.drained()
			arrived := r.arrivedMessages()
			if n := len(arrived); n != 2 && !tt.arrives || n != 3 && tt.arrives || arrived[n-1].Header.Get("Nats-Msg-Id") != "messenger:PAGE:b" {
				t.Errorf("%d messages arrived", n)
			}
			letters := stored(t, natstest.JetStream(t, r.server.URL()), "POSTBACKS_DEADLETTER")
			if tt.arrives {
				if len(letters) != 0 {
					t.Errorf("dead letters: %s", letters[0].Data)
				}
				return
			}
			var d schema.DeadLetter
			if len(letters) != 1 || json.Unmarshal(letters[0].Data, &d) != nil || d.Reason != schema.ReasonNotRelayed ||
				letters[0].Subject != "deadletter.postback.v1.meta.not_relayed" || d.Length != len(tt.message.Data) || len(letters[0].Data) > limit {
				t.Fatalf("%d dead letters, the first %+v", len(letters), d)
			}
			if body, err := d.Bytes(); err != nil || !strings.HasPrefix(string(tt.message.Data), string(body)) || !strings.Contains(d.Detail, tt.message.Subject) {
				t.Errorf("%v, detail %s", err, d.Detail)
			}
		})
	}
}

func TestSettingsOfARunningRelay(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), nil)
	publishtest.BadSettings(t, r.Publisher, r.local, 2)
}

// TestRelayWaitsForAStreamThatKeeps: what the cluster would acknowledge and drop stays here.
func TestRelayWaitsForAStreamThatKeeps(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), nil)
	cluster := natstest.JetStream(t, r.server.URL())
	eventually(t, "the cluster's stream is there", func() bool {
		_, err := cluster.Stream(t.Context(), "POSTBACKS")
		return err == nil
	})
	good := info(t, cluster, "POSTBACKS").Config
	bad := good
	bad.Discard, bad.MaxMsgs = jetstream.DiscardOld, 1
	if _, err := cluster.UpdateStream(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is noticed", func() bool { return strings.Contains(r.log.String(), "stream unusable") })
	mustPublish(t, r.Publisher, clicks("m", 10)...)
	eventually(t, "the reason is told", func() bool { return strings.Contains(r.backlog().LastError, "(discard old)") })
	if _, err := cluster.UpdateStream(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	r.drained()
	if n := len(r.arrived("POSTBACKS")); n != 10 {
		t.Errorf("%d of 10 arrived", n)
	}
}

// TestWatchRelay: the stream is the one on this machine, held for the relay; the
// consumers are those of the cluster.
func TestWatchRelay(t *testing.T) {
	needsProcess(t)
	server := natstest.New(t, natstest.FreePort(t), "")
	r := startRelayed(t, server, nil)
	mustPublish(t, r.Publisher, clicks("m", 10)...)
	eventually(t, "the relay's consumer is there", func() bool {
		_, err := r.local.Consumer(t.Context(), "POSTBACKS", stream.RelayConsumer)
		return err == nil
	})
	bytes := float64(info(t, r.local, "POSTBACKS").State.Bytes)
	eventually(t, "everything is held while the cluster is away", func() bool {
		return metric(t, r.reg, "gateway_stream_held_bytes") == bytes && bytes > 0
	})
	if n, err := testutil.GatherAndCount(r.reg, "gateway_consumer_pending_events"); n != 0 || err != nil {
		t.Errorf("%d consumers of the local stream have series, %v", n, err)
	}

	server.Start()
	r.drained()
	eventually(t, "nothing is held when all is relayed", func() bool { return metric(t, r.reg, "gateway_stream_held_bytes") == 0 })
	cluster := natstest.JetStream(t, server.URL())
	if _, err := cluster.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster's consumer has a series", func() bool {
		n, err := testutil.GatherAndCount(r.reg, "gateway_consumer_pending_events")
		return err == nil && n == 1 && metric(t, r.reg, "gateway_consumer_pending_events", "billing") == 10
	})
}
