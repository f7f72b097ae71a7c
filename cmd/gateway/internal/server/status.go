package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// statusTimeout bounds the requests to the store for one status.
const statusTimeout = 5 * time.Second

// serveStatus answers with a [doctor.Report].
func (g *gateway) serveStatus(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	report := doctor.Diagnose(g.status(ctx))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(report) // an error means that the caller hung up
}

func (g *gateway) status(ctx context.Context) doctor.Status {
	s := doctor.Status{
		Now: time.Now().UTC(), Version: g.options.Version, Received: g.ingest.Activity(),
		Rejections: []doctor.Rejection{}, Consumers: []monitor.ConsumerState{}, Unclaimed: []monitor.UnclaimedSubject{},
	}
	for _, r := range g.ring.Rejections(s.Now) {
		s.Rejections = append(s.Rejections, doctor.Rejection{Handler: r.Handler, Account: r.Account, Reason: r.Reason, Status: r.Status, Count: r.Count, Last: r.Last, Do: r.Advice})
	}
	if err := g.ready.Check(ctx); err != nil {
		s.NotReady = err.Error()
	}
	s.Ready = s.NotReady == ""
	s.Store = storeStatus(g.publisher.Monitor()) // which the check has refreshed
	s.Expected = g.expected(ctx)
	if err := g.readConsumers(ctx, &s); err != nil {
		s.ReadError = err.Error()
	}
	return s
}

func storeStatus(m *monitor.Monitor) doctor.Store {
	snapshot := m.Snapshot()
	s := doctor.Store{Root: m.Streams.Root, Stream: m.Streams.Stream, DiskFree: snapshot.Disk.Free, DiskSize: snapshot.Disk.Size}
	if events := snapshot.Events; events != nil {
		s.Events, s.Bytes, s.MaxBytes = events.State.Msgs, events.State.Bytes, max(0, events.Config.MaxBytes)
		if s.Events > 0 {
			s.First, s.Last = events.State.FirstTime, events.State.LastTime
		}
	}
	return s
}

func (g *gateway) readConsumers(ctx context.Context, s *doctor.Status) (err error) {
	if s.Consumers, err = g.consumers.ConsumerStates(ctx); err != nil {
		return err
	}
	if s.GivenUp, err = g.consumers.GivenUpCounts(ctx); err != nil {
		return err
	}
	found, err := g.consumers.Unclaimed(ctx, s.Now.Add(-monitor.UnclaimedPeriod))
	s.Unclaimed = append(s.Unclaimed, found[:min(len(found), doctor.MaxUnclaimed)]...)
	return err
}

// expected lists the webhooks that are configured, and whether events of theirs are
// stored: a gateway that was restarted knows of none.
func (g *gateway) expected(ctx context.Context) []doctor.Webhook {
	meta := doctor.Webhook{Webhook: schema.UnknownPlatform}
	for _, name := range schema.PlatformNames() {
		if schema.WebhookOf(name) == schema.UnknownPlatform {
			meta.Stored = meta.Stored || g.holds(ctx, schema.Tokens{Platform: name})
		}
	}
	all := []doctor.Webhook{meta}
	seen := make(map[string]bool)
	for _, bot := range TelegramSecrets(g.secrets.Settings()) {
		if !seen[bot.Bot] {
			all = append(all, doctor.Webhook{Webhook: schema.Telegram, Account: bot.Bot, Stored: g.holds(ctx, schema.Tokens{Platform: schema.Telegram, Account: schema.EscapeToken(bot.Bot)})})
		}
		seen[bot.Bot] = true
	}
	return all
}

// holds reports whether an event of the platform, or of one of its accounts, is stored where
// consumers read.
func (g *gateway) holds(ctx context.Context, of schema.Tokens) bool {
	link, err := g.consumers.Conn.Link()
	if err != nil {
		return false
	}
	cfg := &g.consumers.Streams.Settings
	m, err := stream.GetMessage(ctx, link.NC, cfg.Stream, stream.Query{Seq: 1, Filter: of.Filters(cfg.Root)[0]})
	return err == nil && m != nil
}
