package publishtest

import (
	"context"
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
	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
	"github.com/postback-gateway/gateway/schema/schematest"
)

// Embedded starts an embedded server in dir, or in a directory of its own.
func Embedded(t testing.TB, dir string) *embedded.Server {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	s, err := embedded.Start(embedded.Config{Dir: dir, DontListen: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// Config returns a configuration without servers.
func Config() publish.Config {
	return publish.Config{
		Settings:   stream.Settings{Root: "postback.v1", Stream: "POSTBACKS", MaxAge: time.Hour, DuplicateWindow: time.Hour},
		AckTimeout: time.Second,
	}
}

// EmbeddedConfig returns the configuration for an embedded server that it starts.
func EmbeddedConfig(t testing.TB) publish.Config {
	t.Helper()
	cfg := Config()
	cfg.InProcess = Embedded(t, "")
	return cfg
}

// ServerConfig returns the configuration for servers that are processes.
func ServerConfig(servers ...*natstest.Server) publish.Config {
	cfg := Config()
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URL())
	}
	cfg.Servers = strings.Join(urls, ",")
	return cfg
}

// NeedsProcess skips the test with -short.
func NeedsProcess(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a nats-server process")
	}
}

// Open opens a Publisher until the test ends.
func Open(t testing.TB, cfg publish.Config) *publish.Publisher {
	t.Helper()
	p, _ := OpenWith(t, cfg, nil)
	return p
}

// OpenWith returns the log too. It registers the metrics with reg.
func OpenWith(t testing.TB, cfg publish.Config, reg prometheus.Registerer) (*publish.Publisher, *natstest.Log) {
	t.Helper()
	if !cfg.Relayed && cfg.ServerMetrics == nil {
		servers, err := monitor.NewServerMetrics(reg)
		if err != nil {
			t.Fatal(err)
		}
		cfg.ServerMetrics = servers
	}
	log := &natstest.Log{}
	p, err := publish.Open(Deadline(t, 20*time.Second), cfg, slog.New(slog.NewTextHandler(log, nil)), reg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p, log
}

// OpenError returns the error of a Publisher that cannot be opened.
func OpenError(t testing.TB, cfg publish.Config) string {
	t.Helper()
	p, err := publish.Open(Deadline(t, 20*time.Second), cfg, slog.New(slog.DiscardHandler), nil)
	if err == nil {
		_ = p.Close(context.Background())
		t.Fatal("Open returned no error")
	}
	return err.Error()
}

// Deadline returns a context that ends after d.
func Deadline(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Click returns an item with an event.
func Click(id, payload string) schema.Item {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p, route := schema.ParsePayload(payload)
	event, err := schema.New(id, now, schema.Data{
		Platform: schema.Messenger, Account: schema.Account{ID: "PAGE"}, User: schema.User{ID: "USER"},
		Kind: schema.KindButton, Channel: schema.ChannelPrimary, Payload: &p, ReceivedAt: now,
	})
	if err != nil {
		panic(err)
	}
	return schema.Item{Event: event, Route: route, Body: []byte(`{"payload":"` + payload + `"}`)}
}

// Clicks returns n items with events.
func Clicks(prefix string, n int) []schema.Item {
	items := make([]schema.Item, n)
	for i := range items {
		items[i] = Click(fmt.Sprintf("%s-%d", prefix, i), "plan:enterprise")
	}
	return items
}

// Rubbish returns an item that becomes a dead letter.
func Rubbish(body string) schema.Item {
	return schema.Item{
		Rejection: schema.Rejection{Reason: schema.ReasonNotJSON, Detail: "no JSON", Platform: schema.UnknownPlatform, ReceivedAt: time.Now()},
		Body:      []byte(body),
	}
}

// Publish stores the items and returns their outcomes.
func Publish(t testing.TB, p *publish.Publisher, items ...schema.Item) []schema.Outcome {
	t.Helper()
	outcomes, err := p.Publish(Deadline(t, natstest.Patience), items)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	for i := range items {
		m, err := items[i].Message(schema.Subjects{Root: schema.DefaultRoot}, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if m.DeadLetter == "" {
			schematest.Event(t, m.Data)
		}
	}
	return outcomes
}

// PublishPartitioned stores the items in their order, as a gateway does whose number of
// partitions changes: none at first, then 3, then 5.
func PublishPartitioned(t testing.TB, cfg publish.Config, items ...schema.Item) {
	t.Helper()
	third := (len(items) + 2) / 3
	for _, cfg.Partitions = range []int{0, 3, 5} {
		n := min(third, len(items))
		Publish(t, Open(t, cfg), items[:n]...)
		items = items[n:]
	}
}

// PublishForeign has another program publish an event, with headers of its own.
func PublishForeign(t testing.TB, js jetstream.JetStream, item schema.Item, header nats.Header) {
	t.Helper()
	m, err := item.Message(schema.Subjects{Root: schema.DefaultRoot}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{Subject: m.Subject, Header: nats.Header{jetstream.MsgIDHeader: {m.ID}}, Data: m.Data}
	maps.Copy(msg.Header, header)
	if _, err := js.PublishMsg(Deadline(t, natstest.Patience), msg); err != nil {
		t.Fatal(err)
	}
}

// InProcess connects a client to the embedded server of cfg.
func InProcess(cfg publish.Config) nats.Option { return nats.InProcessServer(cfg.InProcess) }

// Info returns the state of a stream.
func Info(t testing.TB, js jetstream.JetStream, name string) *jetstream.StreamInfo {
	t.Helper()
	s, err := js.Stream(Deadline(t, natstest.Patience), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}

// Stored returns all messages of a stream, in order; every event of them is one
// by the JSON Schema.
func Stored(t testing.TB, js jetstream.JetStream, name string) []*jetstream.RawStreamMsg {
	t.Helper()
	s, err := js.Stream(Deadline(t, natstest.Patience), name)
	if err != nil {
		t.Fatal(err)
	}
	var all []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(Deadline(t, natstest.Patience), seq)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(m.Subject, "postback.v1.") {
			schematest.Event(t, m.Data)
			schematest.Subject(t, m.Subject)
		}
		all = append(all, m)
	}
	return all
}

// IDs returns the ids of the messages of items.
func IDs(t testing.TB, items []schema.Item) []string {
	t.Helper()
	var ids []string
	for i := range items {
		m, err := items[i].Message(schema.Subjects{Root: schema.DefaultRoot}, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	return ids
}

// Metric returns the value of a metric, of the series with a label's value if one is given.
func Metric(t testing.TB, reg prometheus.Gatherer, name string, label ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && (len(label) == 0 || slices.Equal(values, label)) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s%v", name, label)
	return 0
}
