package replay

import (
	"context"
	"sync"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// Gateway is what replays need of a running gateway. All fields are required.
type Gateway struct {
	// Link is to the server that consumers read from.
	Link    func() (*natsconn.Link, error)
	Streams stream.Settings
	// Parse returns the items of a dead letter; those without an Event are malformed still.
	Parse func(*schema.DeadLetter) ([]schema.Item, error)
	// Publish stores items as durably as those of a delivery.
	Publish func(context.Context, []schema.Item) ([]schema.Outcome, error)
	// Limit is the largest message that can be stored, in bytes.
	Limit func() (int, error)
	// Forwards reports whether deliveries of a webhook are posted to an existing bot.
	Forwards func(webhook, account string) bool
	// GivenUp counts the events that each consumer has given up.
	GivenUp func(context.Context) (map[string]uint64, error)

	mu    sync.Mutex
	last  []Row // as of state; read again when that has changed
	state [2]uint64
}

// DeadLetter returns a stored dead letter; nil if there is none any more.
func (g *Gateway) DeadLetter(ctx context.Context, sequence uint64) (*stream.Message, error) {
	link, err := g.Link()
	if err != nil || sequence == 0 {
		return nil, err
	}
	return stream.GetMessage(ctx, link.NC, g.Streams.Name(stream.DeadLetters), stream.Query{Seq: sequence})
}
