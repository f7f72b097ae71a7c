package publish

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
	"github.com/postback-gateway/gateway/schema/schematest"
)

func startEmbedded(t testing.TB) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Config{Dir: t.TempDir(), DontListen: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func testConfig() Config {
	return Config{Root: "postback.v1", Stream: "POSTBACKS", MaxAge: time.Hour, DuplicateWindow: time.Hour, AckTimeout: time.Second}
}

func embeddedConfig(t testing.TB) Config {
	t.Helper()
	cfg := testConfig()
	cfg.InProcess = startEmbedded(t)
	return cfg
}

func mustOpen(t testing.TB, cfg Config) *Publisher {
	t.Helper()
	p, _ := mustOpenWith(t, cfg, nil)
	return p
}

// mustOpenWith returns the log too.
func mustOpenWith(t testing.TB, cfg Config, reg prometheus.Registerer) (*Publisher, *natstest.Log) {
	t.Helper()
	log := &natstest.Log{}
	p, err := Open(withDeadline(t, 20*time.Second), cfg, slog.New(slog.NewTextHandler(log, nil)), reg)
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

func openError(t testing.TB, cfg Config) string {
	t.Helper()
	p, err := Open(withDeadline(t, 20*time.Second), cfg, slog.New(slog.DiscardHandler), nil)
	if err == nil {
		_ = p.Close(context.Background())
		t.Fatal("Open returned no error")
	}
	return err.Error()
}

func withDeadline(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

var eventually = natstest.Eventually

func click(id, payload string) schema.Item {
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

func clicks(prefix string, n int) []schema.Item {
	items := make([]schema.Item, n)
	for i := range items {
		items[i] = click(fmt.Sprintf("%s-%d", prefix, i), "plan:enterprise")
	}
	return items
}

func rubbish(body string) schema.Item {
	return schema.Item{
		Rejection: schema.Rejection{Reason: schema.ReasonNotJSON, Detail: "no JSON", Platform: schema.UnknownPlatform, ReceivedAt: time.Now()},
		Body:      []byte(body),
	}
}

func mustPublish(t testing.TB, p *Publisher, items ...schema.Item) []schema.Outcome {
	t.Helper()
	outcomes, err := p.Publish(withDeadline(t, 10*time.Second), items)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	for i := range items {
		m, err := items[i].Message("postback.v1", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if m.DeadLetter == "" {
			schematest.Event(t, m.Data)
		}
	}
	return outcomes
}

// publishForeign has another program publish an event, with headers of its own.
func publishForeign(t testing.TB, js jetstream.JetStream, item schema.Item, header nats.Header) {
	t.Helper()
	m, err := item.Message("postback.v1", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{Subject: m.Subject, Header: nats.Header{jetstream.MsgIDHeader: {m.ID}}, Data: m.Data}
	maps.Copy(msg.Header, header)
	if _, err := js.PublishMsg(withDeadline(t, 5*time.Second), msg); err != nil {
		t.Fatal(err)
	}
}

func inProcess(cfg Config) nats.Option { return nats.InProcessServer(cfg.InProcess) }

func info(t testing.TB, js jetstream.JetStream, name string) *jetstream.StreamInfo {
	t.Helper()
	s, err := js.Stream(withDeadline(t, 5*time.Second), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}

// stored returns all messages of a stream, in order; every event of them is one
// by the JSON Schema.
func stored(t testing.TB, js jetstream.JetStream, name string) []*jetstream.RawStreamMsg {
	t.Helper()
	s, err := js.Stream(withDeadline(t, 5*time.Second), name)
	if err != nil {
		t.Fatal(err)
	}
	var all []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(withDeadline(t, 5*time.Second), seq)
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
