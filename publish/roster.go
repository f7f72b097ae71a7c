package publish

import (
	"log/slog"
	"sync"
	"time"
)

// vanishedHold is how long events are kept for a durable consumer that has vanished:
// long enough to see the warning and to create the consumer again.
const vanishedHold = time.Hour

// roster remembers what the durable consumers of the events' stream have still to
// acknowledge, for one that vanishes without being deleted. A server drops a consumer
// whose files it cannot read, and says nothing of it to anybody who asks; but it reads
// files only when it starts. So a consumer that is missing on the connection on which
// it was seen has been deleted, and holds nothing any more. One that is missing after
// the connection was lost may have been deleted or not: its events are kept for
// vanishedHold. It is safe for concurrent use.
type roster struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]seenConsumer
}

type seenConsumer struct {
	want
	connection int64     // on which it was seen last
	missing    time.Time // since when; zero while it is there
}

func newRoster(log *slog.Logger) *roster {
	return &roster{log: log, seen: map[string]seenConsumer{}}
}

// vanished takes in which consumers there are now and returns what the vanished ones
// had still to acknowledge.
func (r *roster) vanished(now []want, connection int64) []want {
	r.mu.Lock()
	defer r.mu.Unlock()
	there := map[string]bool{}
	for _, w := range now {
		there[w.consumer] = true
		r.seen[w.consumer] = seenConsumer{want: w, connection: connection}
	}
	var held []want
	for name, c := range r.seen {
		switch {
		case there[name]:
			continue
		case c.connection == connection, !c.missing.IsZero() && time.Since(c.missing) > vanishedHold:
			delete(r.seen, name)
			continue
		case c.missing.IsZero():
			c.missing = time.Now()
			r.seen[name] = c
			r.log.Warn("a durable consumer is gone since the connection was lost: what it has not acknowledged is kept for a while; "+
				"create it again unless it was deleted on purpose",
				slog.String("consumer", name), slog.Uint64("events", c.events), slog.Uint64("first", c.first), slog.String("kept_for", vanishedHold.String()))
		}
		held = append(held, c.want)
	}
	return held
}
