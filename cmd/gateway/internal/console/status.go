package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// status is the strip at the top of the page, and what the page has to know.
type status struct {
	Version    string         `json:"version"`
	Now        time.Time      `json:"now"`
	NotReady   []string       `json:"notReady"`
	Accounts   []account      `json:"accounts"`
	Rejections []rejection    `json:"rejections"`
	Handshakes int            `json:"handshakes"`
	Totals     map[string]int `json:"totals"` // events by outcome, since the start

	Root        string        `json:"root"`
	Stream      string        `json:"stream"`
	Callbacks   []callback    `json:"callbacks"`
	NATS        string        `json:"nats"`
	VerifyToken string        `json:"verifyToken"`
	Platforms   []tryPlatform `json:"platforms"`
}

// callback is what to enter at a platform.
type callback struct {
	Platform string `json:"platform"`
	Path     string `json:"path"`
}

type account struct {
	Platform string    `json:"platform"`
	Account  string    `json:"account"`
	Last     time.Time `json:"last"`
}

// tryPlatform is a platform that the page can compose a click for.
type tryPlatform struct {
	Name    string        `json:"name"`
	Kinds   []schema.Kind `json:"kinds"`
	Account string        `json:"account"`
	User    string        `json:"user"`
	Why     string        `json:"why"` // it cannot be sent; empty if it can
}

func (c *Console) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	s := status{
		Version: c.Version, Now: time.Now(), Rejections: c.ring.tally.list(time.Now()),
		Root: c.Root, Stream: c.Stream, NATS: c.NATS, VerifyToken: c.VerifyToken, Totals: map[string]int{},
		NotReady: []string{}, Accounts: []account{}, Callbacks: []callback{{schema.UnknownPlatform, c.Webhook + "/webhooks/meta"}},
	}
	if err := c.Ready(ctx); err != nil {
		s.NotReady = strings.Split(err.Error(), "\n")
	}
	for _, bot := range c.Bots() {
		s.Callbacks = append(s.Callbacks, callback{schema.Telegram, c.Webhook + "/webhooks/telegram/" + bot})
	}
	s.Platforms = c.platforms()
	s.count(c.Metrics.Gather())
	respond(w, s)
}

// platforms returns those that the page can send a click of.
func (c *Console) platforms() []tryPlatform {
	var all []tryPlatform
	for _, name := range schema.PlatformNames() {
		p := simulate.Platforms[name]
		t := tryPlatform{Name: name, Kinds: p.Kinds, Account: p.Account, User: p.User}
		if bots := c.Bots(); name == schema.Telegram && len(bots) > 0 {
			t.Account = bots[0]
		}
		if _, err := c.Secret(name, t.Account); err != nil {
			t.Why = err.Error()
		}
		all = append(all, t)
	}
	return all
}

// count reads the gateway's own metrics. Those that could be gathered are used, whatever
// happened to the others.
func (s *status) count(families []*dto.MetricFamily, _ error) {
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := labels(m)
			switch family.GetName() {
			case "gateway_last_event_timestamp_seconds":
				at := time.UnixMilli(int64(m.GetGauge().GetValue() * 1000))
				s.Accounts = append(s.Accounts, account{label["platform"], label["account"], at})
			case "gateway_events_total":
				s.Totals[label["outcome"]] += int(m.GetCounter().GetValue())
			case "gateway_http_requests_total":
				if strings.HasSuffix(label["handler"], "_handshake") && label["code"] == "200" {
					s.Handshakes += int(m.GetCounter().GetValue())
				}
			}
		}
	}
	slices.SortFunc(s.Accounts, func(a, b account) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Account, b.Account))
	})
}

func labels(m *dto.Metric) map[string]string {
	all := make(map[string]string)
	for _, pair := range m.GetLabel() {
		all[pair.GetName()] = pair.GetValue()
	}
	return all
}
