package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// status is the strip at the top of the page, and what the page has to know.
type status struct {
	Version    string         `json:"version"`
	Now        time.Time      `json:"now"`
	NotReady   []string       `json:"notReady"`
	Accounts   []account      `json:"accounts"`
	Rejections []Rejection    `json:"rejections"`
	Handshakes int            `json:"handshakes"`
	Totals     map[string]int `json:"totals"` // events by outcome, since the start
	Store      store          `json:"store"`
	Consumers  []consumer     `json:"consumers"` // durable ones, the furthest behind first

	// Findings are those of the doctor, problems first. They are up to reportInterval old.
	Findings []doctor.Finding         `json:"findings"`
	Webhooks []ingest.WebhookActivity `json:"webhooks"`
	Forwards []forwards               `json:"forwards"`

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

// store is how full the stream and the disk are; 0 is unknown or without a limit.
type store struct {
	Events    float64 `json:"events"`
	Bytes     float64 `json:"bytes"`
	Limit     float64 `json:"limit"`
	DiskFree  float64 `json:"diskFree"`
	DiskSize  float64 `json:"diskSize"`
	Unclaimed float64 `json:"unclaimed"` // subjects that no consumer asks for
}

// consumer is how far a durable consumer is behind.
type consumer struct {
	Name    string  `json:"name"`
	Pending float64 `json:"pending"`
	Lag     float64 `json:"lag"` // seconds
}

// forwards is how forwarding to an existing bot goes.
type forwards struct {
	Webhook string  `json:"webhook"`
	Pending float64 `json:"pending"`
	Lag     float64 `json:"lag"`    // seconds
	Failed  float64 `json:"failed"` // attempts since the start
	GivenUp float64 `json:"givenUp"`

	done float64
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
		Findings: []doctor.Finding{}, Webhooks: c.Activity().Webhooks, Forwards: []forwards{},
		Root: c.Subjects.Root, Stream: c.Stream, NATS: c.NATS, VerifyToken: c.VerifyToken, Totals: map[string]int{},
		NotReady: []string{}, Consumers: []consumer{}, Accounts: []account{}, Callbacks: []callback{{schema.UnknownPlatform, c.Webhook + "/webhooks/meta"}},
	}
	if err := c.Ready(ctx); err != nil {
		s.NotReady = strings.Split(err.Error(), "\n")
	}
	for _, bot := range c.Bots() {
		s.Callbacks = append(s.Callbacks, callback{schema.Telegram, c.Webhook + "/webhooks/telegram/" + bot})
	}
	s.Platforms = c.platforms()
	families, _ := c.Metrics.Gather() // without what could not be gathered
	s.read(families)
	if report := c.reports.get(ctx, c); report != nil {
		s.Findings = append(s.Findings, report.Findings...)
	}
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
