package erase_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/erase"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/relay"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// letter is a dead letter of a platform.
func letter(platform, body string) schema.Item {
	item := rubbish(body)
	item.Rejection.Platform, item.Rejection.Reason = platform, schema.ReasonMalformed
	return item
}

// people are the clicks and dead letters that the tests look through.
func people() []schema.Item {
	return []schema.Item{
		clickBy("a1", schema.Messenger, "1", schema.User{ID: "1001"}),
		clickBy("a2", schema.Messenger, "2", schema.User{ID: "1001"}),
		clickBy("a3", schema.Instagram, "1", schema.User{ID: "1001"}),
		clickBy("b1", schema.Messenger, "1", schema.User{ID: "10015"}),
		clickBy("r1", schema.Messenger, "1", schema.User{Ref: "from:shop"}),
		clickBy("r2", schema.Messenger, "1", schema.User{ID: "1002", Ref: "from:shop"}),
		clickBy("w1", schema.WhatsApp, "9", schema.User{ID: "16505551234", ScopedID: "US.1", ParentScopedID: "US.ENT.1"}),
		clickBy("w2", schema.WhatsApp, "9", schema.User{ID: "US.1", ScopedID: "US.1"}),
		clickBy("q1", schema.Messenger, "1", schema.User{Ref: `a"<b>/\u00e9` + "\u00e9"}),
		clickBy("s1", schema.Messenger, "1", schema.User{Ref: "a*b"}),
		clickBy("s2", schema.Messenger, "1", schema.User{Ref: "a-b"}),
		clickBy("s3", schema.Messenger, "*", schema.User{Ref: ">"}),
		clickBy("t1", schema.Telegram, "shop bot", schema.User{ID: "1001"}),
		letter(schema.Messenger, `{"sender":{"id":"1001"},"n":1}`),
		letter(schema.Messenger, `{"sender":{"id":"10015"},"recipient":"71001"}`),
		letter(schema.UnknownPlatform, "\xff of 1001, and more"),
		letter(schema.WhatsApp, `{"from":16505551234}`),
		letter(schema.Telegram, `{"id":1001}`),
	}
}

// held lists the ids in a stream.
func held(t testing.TB, js jetstream.JetStream, name string) []string {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		if m, err := s.GetMsg(t.Context(), seq); err == nil {
			id := m.Header.Get(jetstream.MsgIDHeader)
			ids = append(ids, id[strings.LastIndexByte(id, ':')+1:])
		}
	}
	return ids
}

// linkOf makes a connection one of natsconn.
func linkOf(t testing.TB, nc *nats.Conn) *natsconn.Link {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &natsconn.Link{NC: nc, JS: js}
}

func mustForget(t testing.TB, nc *nats.Conn, e erase.Request) []erase.Result {
	t.Helper()
	all, err := erase.Run(t.Context(), linkOf(t, nc), testConfig().Settings, e)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestForgetFindsEveryId(t *testing.T) {
	cfg := embeddedConfig(t)
	publishtest.PublishPartitioned(t, cfg, people()...)
	js := natstest.JetStream(t, "", inProcess(cfg))
	before := held(t, js, "POSTBACKS")
	for _, test := range []struct {
		who             erase.Person
		events, letters int
		others          string
	}{
		{erase.Person{schema.Messenger, "1", "1001"}, 1, 2, ""},
		{erase.Person{schema.Messenger, "", "1001"}, 2, 2, ""},
		{erase.Person{schema.Instagram, "1", "1001"}, 1, 1, ""},
		{erase.Person{schema.Messenger, "1", "10015"}, 1, 1, ""},
		{erase.Person{schema.Messenger, "1", "from:shop"}, 2, 0, "messenger:1:1002"},
		{erase.Person{schema.Messenger, "1", "1002"}, 1, 0, "messenger:1:from:shop"},
		{erase.Person{schema.WhatsApp, "9", "16505551234"}, 1, 1, "whatsapp:9:US.1 whatsapp:9:US.ENT.1"},
		{erase.Person{schema.WhatsApp, "9", "US.1"}, 2, 0, "whatsapp:9:16505551234 whatsapp:9:US.ENT.1"},
		{erase.Person{schema.WhatsApp, "", "US.ENT.1"}, 1, 0, "whatsapp:9:16505551234 whatsapp:9:US.1"},
		{erase.Person{schema.Telegram, "shop bot", "1001"}, 1, 1, ""},
		{erase.Person{schema.Messenger, "1", `a"<b>/\u00e9` + "\u00e9"}, 1, 0, ""},
		{erase.Person{schema.Messenger, "1", "a*b"}, 1, 0, ""},
		{erase.Person{schema.Messenger, "*", "1001"}, 0, 2, ""},
		{erase.Person{schema.Messenger, "*", ">"}, 1, 0, ""},
		{erase.Person{schema.Messenger, "3", "1001"}, 0, 2, ""},
		{erase.Person{schema.Messenger, "1", "100"}, 0, 0, ""},
	} {
		all := mustForget(t, js.Conn(), erase.Request{People: []erase.Person{test.who}})
		got := []int{all[0].Messages, all[2].Messages}
		if !slices.Equal(got, []int{test.events, test.letters}) || strings.Join(all[0].Others, " ") != test.others || !all[1].Missing {
			t.Errorf("%+v: %+v", test.who, all)
		}
	}
	if after := held(t, js, "POSTBACKS"); !slices.Equal(after, before) {
		t.Errorf("looking changed %v to %v", before, after)
	}
}

// TestForgetPassesForeignMessages: a client of NATS takes a message without a body
// for one of the server's own where its header has a Status.
func TestForgetPassesForeignMessages(t *testing.T) {
	cfg := embeddedConfig(t)
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	const gone = "4815162342"
	by := func(id, account string) schema.Item {
		return clickBy(id, schema.Messenger, account, schema.User{ID: gone})
	}
	for i, test := range []struct {
		status, description string
		repeated            int
	}{
		{"409", "Consumer Deleted", 1},
		{"409", "Leadership Change", 1},
		{"404", "No Messages", 1},
		{"408", "Request Timeout", 1},
		{"100", "Idle Heartbeat", 1},
		{"400", "Bad Request", 1},
		{"423", "Nats-Wrong-Pin-Id", 1},
		{"503", "", 1},
		{"409", "Consumer Deleted", 201},
	} {
		t.Run(test.status+" "+test.description, func(t *testing.T) {
			account := strconv.Itoa(100 + i)
			mustPublish(t, p, by("before"+account, account))
			for range test.repeated {
				foreign := nats.NewMsg("postback.v1.messenger." + account + ".plan.x")
				foreign.Header.Set("Status", test.status)
				foreign.Header.Set("Description", test.description)
				if _, err := js.PublishMsg(t.Context(), foreign); err != nil {
					t.Fatal(err)
				}
			}
			mustPublish(t, p, by("after"+account, account))
			person := []erase.Person{{schema.Messenger, account, gone}}
			for _, e := range []erase.Request{{People: person}, {People: person, Erase: true}} {
				if all := mustForget(t, js.Conn(), e); all[0].Messages != 2 {
					t.Errorf("%+v: %+v", e, all)
				}
			}
			for _, id := range held(t, js, "POSTBACKS") {
				if strings.HasSuffix(id, account) {
					t.Errorf("%s is left", id)
				}
			}
		})
	}
}

// TestForgetCountsOnce: a message of a person with two names, or of two people, is
// one message.
func TestForgetCountsOnce(t *testing.T) {
	cfg := embeddedConfig(t)
	mustPublish(t, mustOpen(t, cfg), append(people(), letter(schema.Messenger, "1002 and 10015"))...)
	js := natstest.JetStream(t, "", inProcess(cfg))
	who := []erase.Person{{schema.Messenger, "1", "1002"}, {schema.Messenger, "1", "from:shop"}, {schema.Messenger, "", "10015"}, {schema.Messenger, "1", "1002"}}
	for _, yes := range []bool{false, true} {
		all := mustForget(t, js.Conn(), erase.Request{People: who, Erase: yes})
		if all[0].Messages != 3 || all[2].Messages != 2 {
			t.Errorf("erase %t: %+v", yes, all)
		}
	}
}

// TestForgetNeedsTheStream: a wrong name of the stream is no proof that nothing is
// stored.
func TestForgetNeedsTheStream(t *testing.T) {
	cfg := embeddedConfig(t)
	mustPublish(t, mustOpen(t, cfg), people()...)
	js := natstest.JetStream(t, "", inProcess(cfg))
	other := testConfig()
	other.Stream = "OTHER"
	all, err := erase.Run(t.Context(), linkOf(t, js.Conn()), other.Settings, erase.Request{People: []erase.Person{{schema.Messenger, "1", "1001"}}})
	if err == nil || !strings.Contains(err.Error(), "stream OTHER: not found on ") || !strings.Contains(err.Error(), "expected the stream of a gateway") {
		t.Errorf("%v", err)
	}
	if len(all) != 4 || !all[0].Missing || !all[1].Incomplete || !all[2].Incomplete || !all[3].Incomplete {
		t.Errorf("%+v", all)
	}
}

// TestForgetOverwrites: what is erased is in no file of the store any more, and
// everything else is as it was, also for a server that starts on it.
func TestForgetOverwrites(t *testing.T) {
	dir := t.TempDir()
	start := func() *embedded.Server {
		s, err := embedded.Start(embedded.Config{Dir: dir, DontListen: true, SyncAlways: true}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	server := start()
	cfg := testConfig()
	cfg.InProcess = server
	p := mustOpen(t, cfg)
	const gone = "4815162342"
	mustPublish(t, p, clickBy("x", schema.Messenger, "1", schema.User{ID: gone}))
	mustPublish(t, p, clicks("m", 2*stream.MaxBatch)...)
	mustPublish(t, p, clickBy("y", schema.Messenger, "1", schema.User{ID: gone}), letter(schema.Messenger, gone))
	js := natstest.JetStream(t, "", inProcess(cfg))
	if n := filesWith(t, dir, gone, "/"); n < 2 {
		t.Fatalf("%d files hold the id: the test looks for it wrongly", n)
	}
	all := mustForget(t, js.Conn(), erase.Request{People: []erase.Person{erase.Person{schema.Messenger, "1", gone}}, Erase: true})
	if all[0].Messages != 2 || all[2].Messages != 1 {
		t.Errorf("%+v", all)
	}
	check := func(js jetstream.JetStream) {
		t.Helper()
		if n := filesWith(t, dir, gone, "/"); n > 0 {
			t.Errorf("%d files still hold the id", n)
		}
		if ids := held(t, js, "POSTBACKS"); len(ids) != 2*stream.MaxBatch || ids[0] != "m-0" {
			t.Errorf("%d events are left", len(ids))
		}
	}
	check(js)
	server.Shutdown()
	server = start()
	t.Cleanup(server.Shutdown)
	check(natstest.JetStream(t, "", nats.InProcessServer(server)))
}

// filesWith counts the files with a part in their path that hold a text.
func filesWith(t testing.TB, dir, text, part string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(filepath.ToSlash(path), part) {
			return ignoreMissing(err)
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			n++
		}
		return ignoreMissing(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ignoreMissing passes over files that the server has replaced meanwhile.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// TestForgetOnEveryReplica: all servers of a cluster overwrite what is erased. Their
// logs of replication hold it until their next snapshot, which docs/personal-data.md
// says.
func TestForgetOnEveryReplica(t *testing.T) {
	needsProcess(t)
	all := filepath.Dir(t.TempDir()) // every directory of this test is in it
	c := natstest.StartCluster(t, 3, natstest.ClusterOptions{})
	p := mustOpen(t, serverConfig(c.Servers...))
	eventually(t, "ready", func() bool { return p.Ready(t.Context()) == nil })
	const gone = "4815162342"
	mustPublish(t, p, append(clicks("m", 10), clickBy("x", schema.Messenger, "1", schema.User{ID: gone}), click("last", "x"))...)
	c.WaitCurrent("POSTBACKS")
	inStreams := func() int { return filesWith(t, all, gone, "/streams/POSTBACKS/") }
	eventually(t, "every replica has it on disk", func() bool { return inStreams() == 3 })
	js := natstest.JetStream(t, c.URL())
	if held := mustForget(t, js.Conn(), erase.Request{People: []erase.Person{erase.Person{schema.Messenger, "1", gone}}, Erase: true}); held[0].Messages != 1 {
		t.Errorf("%+v", held)
	}
	eventually(t, "no replica has it", func() bool { return inStreams() == 0 })
	t.Logf("%d files beside the streams hold it", filesWith(t, all, gone, "/"))
}

// TestForgetWaitsForTheRelay: what a relay has taken goes to the cluster, erased here
// or not. So nothing is erased before it is there, where it can be erased too.
func TestForgetWaitsForTheRelay(t *testing.T) {
	needsProcess(t)
	server := natstest.New(t, natstest.FreePort(t), "")
	cfg := embeddedConfig(t)
	cfg.Relayed = true
	p := mustOpen(t, cfg)
	local := natstest.JetStream(t, "", inProcess(cfg))
	metrics, err := relay.NewMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.Open(t.Context(), p, relay.Config{Config: serverConfig(server), Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	mustPublish(t, p, clicks("m", 3)...)
	eventually(t, "events are taken", func() bool {
		b, err := r.Backlog(t.Context())
		return err == nil && b.Age > 0
	})
	e := erase.Request{People: []erase.Person{erase.Person{schema.Messenger, "PAGE", "USER"}}, Erase: true}
	eventually(t, "it waits as long as the cluster is away", func() bool { // a slow machine does not get there in a second
		_, err := erase.Run(withDeadline(t, time.Second), linkOf(t, local.Conn()), testConfig().Settings, e)
		if err == nil || len(held(t, local, "POSTBACKS")) != 3 {
			t.Fatalf("with the cluster away: %v", err)
		}
		return strings.Contains(err.Error(), "consumer relay has not moved what was found")
	})
	server.Start()
	if all := mustForget(t, local.Conn(), e); all[0].Messages != 3 || len(held(t, local, "POSTBACKS")) > 0 {
		t.Errorf("here: %+v", all)
	}
	js := natstest.JetStream(t, server.URL())
	if ids := held(t, js, "POSTBACKS"); len(ids) != 3 {
		t.Errorf("the cluster has %v although Forget has waited", ids)
	}
	if all := mustForget(t, js.Conn(), e); all[0].Messages != 3 || len(held(t, js, "POSTBACKS")) > 0 {
		t.Errorf("in the cluster: %+v", all)
	}
}

// TestForgetPassesWhatIsLeftBehind: a consumer of the gateway by which nobody reads
// any more holds nothing in memory.
func TestForgetPassesWhatIsLeftBehind(t *testing.T) {
	cfg := embeddedConfig(t)
	p := mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	if _, err := js.CreateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: stream.FallbackConsumer, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, p, clicks("m", 3)...)
	if all := mustForget(t, js.Conn(), erase.Request{People: []erase.Person{erase.Person{schema.Messenger, "PAGE", "USER"}}, Erase: true}); all[0].Messages != 3 {
		t.Errorf("%+v", all)
	}
}

// TestForgetNeedsPermission: the gateway's own user may not erase, and is told so
// at once; an operator may.
func TestForgetNeedsPermission(t *testing.T) {
	s := leastPrivilege(t, "../../deploy")
	cfg := serverConfig(s)
	cfg.User, cfg.Password = "gateway", "gateway_password"
	mustPublish(t, mustOpen(t, cfg), people()...)
	e := erase.Request{People: []erase.Person{erase.Person{schema.Messenger, "1", "1001"}}, Erase: true}
	nc, _ := connectAs(t, s, nats.UserInfo("gateway", "gateway_password"))
	start := time.Now()
	_, err := erase.Run(t.Context(), linkOf(t, nc), cfg.Settings, e)
	if err == nil || !errors.Is(err, nats.ErrPermissionViolation) || time.Since(start) > 4*time.Second { // a request waits for 5
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	nc, _ = connectAs(t, s, nats.UserInfo("operator", "operator_password"))
	if all := mustForget(t, nc, e); all[0].Messages != 1 || all[2].Messages != 2 {
		t.Errorf("%+v", all)
	}
}

// TestForgetWithLeastPrivilege: the permissions that docs/personal-data.md names are
// enough.
func TestForgetWithLeastPrivilege(t *testing.T) {
	needsProcess(t)
	s := natstest.Start(t, `authorization { users = [
		{ user: gateway, password: x }
		{ user: privacy, password: x, permissions: {
			publish: [
				"$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.CREATE.*.>", "$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.MSG.DELETE.*"
				"$JS.API.CONSUMER.INFO.*.relay", "$JS.API.CONSUMER.INFO.*.fallback"
			]
			subscribe: ["_INBOX.>"]
		} }
	] }`)
	cfg := serverConfig(s)
	cfg.User, cfg.Password = "gateway", "x"
	mustPublish(t, mustOpen(t, cfg), people()...)
	nc, _ := connectAs(t, s, nats.UserInfo("privacy", "x"))
	if all := mustForget(t, nc, erase.Request{People: []erase.Person{erase.Person{schema.Messenger, "1", "1001"}}, Erase: true}); all[0].Messages != 1 || all[2].Messages != 2 {
		t.Errorf("%+v", all)
	}
	// It is a way to erase, and to nothing else.
	other, complaints := connectAs(t, s, nats.UserInfo("privacy", "x"))
	mustBeForbidden(t, other, complaints, "$JS.API.STREAM.PURGE.POSTBACKS")
	mustBeForbidden(t, other, complaints, "postback.v1.messenger.1.plan.x")
}
