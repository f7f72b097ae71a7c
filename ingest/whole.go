package ingest

import (
	"slices"
	"strings"

	"github.com/postback-gateway/gateway/schema"
)

// isForwarded reports whether deliveries to the webhook are stored whole too.
func (s *Server) isForwarded(r *request) bool {
	name := r.hook.name
	if r.account != "" {
		name += "/" + r.account
	}
	return slices.Contains(s.cfg.Forward, name)
}

// wholeDelivery returns what an existing bot needs of a request: the bytes that were
// received, and the headers by which it verifies and decodes them.
func wholeDelivery(r *request, d *delivery, body []byte) *schema.Delivery {
	whole := &schema.Delivery{
		Webhook: d.hook.name, Account: d.entryAccount(), Header: make(map[string][]string), Body: body, ReceivedAt: d.receivedAt,
	}
	for name, values := range r.Header {
		if isPlatformHeader(name) {
			whole.Header[name] = values
		}
	}
	return whole
}

// isPlatformHeader takes a name in the form of net/http.
func isPlatformHeader(name string) bool {
	switch name {
	case "Content-Type", "Content-Encoding", "User-Agent":
		return true
	default:
		return strings.HasPrefix(name, "X-Hub-") || strings.HasPrefix(name, "X-Telegram-")
	}
}

// noteEntry notes the account of an entry.
func (b *batch) noteEntry(id string) {
	switch {
	case id == "":
	case b.entryID == "":
		b.entryID = id
	case b.entryID != id:
		b.several = true
	}
}

// entryAccount returns the account that the whole delivery is of; empty if it is of
// several, or names none. A forwarded delivery keeps its place among those of its account.
func (b *batch) entryAccount() string {
	switch {
	case b.account != "":
		return b.account
	case b.several, len(b.entryID) > schema.MaxAccount:
		return ""
	default:
		return b.entryID
	}
}

// toStore returns the items, and behind them the whole delivery, which is forwarded.
func (d *delivery) toStore() []schema.Item {
	return append(slices.Clip(d.items), schema.Item{Delivery: d.whole})
}

// logTooLarge logs that a delivery is kept as a dead letter instead of being forwarded.
func (s *Server) logTooLarge(d *delivery, outcomes []schema.Outcome) {
	if len(outcomes) == 0 || outcomes[len(outcomes)-1] != schema.Rejected {
		return
	}
	s.hints.tooLarge.Do(func() {
		s.log.Warn("a delivery is too large to be stored for the existing bot, and kept as a dead letter: raise max_payload of the NATS servers",
			"webhook", d.whole.Webhook, "account", d.whole.Account, "bytes", len(d.whole.Body))
	})
}
