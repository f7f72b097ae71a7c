package publish

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// conflictInterval is between two looks at what a duplicate repeats.
const conflictInterval = time.Second

// checkConflict warns if an event was dropped as the duplicate of a different one: its id
// is the same, and the user or the payload is not. It asks the stream in the background, at
// most once in a conflictInterval. The line has no id: some contain the phone number.
func (p *Publisher) checkConflict(link *natsconn.Link, entry *stream.Entry, e *schema.Event) {
	p.conflicts.Do(func() {
		name, sequence := entry.Stream, entry.Sequence
		p.inProgress.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), natsconn.SetupTimeout)
			defer cancel()
			m, err := stream.GetMessage(ctx, link.NC, name, stream.Query{Seq: sequence})
			if err != nil || m == nil || m.Sequence != sequence {
				return // purged meanwhile, or nobody can say
			}
			var stored schema.Event
			if json.Unmarshal(m.Data, &stored) == nil && e.Conflicts(&stored) {
				p.log.Warn("a click has the id of another click with a different payload or user: only the first is stored",
					slog.String("platform", e.Data.Platform), slog.String("account", e.Data.Account.ID))
			}
		})
	})
}
