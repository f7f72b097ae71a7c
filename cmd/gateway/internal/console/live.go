package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	// liveInterval is the shortest time between two messages to one page.
	liveInterval = 200 * time.Millisecond
	// liveKeepAlive keeps proxies from closing a quiet connection, and finds out that the
	// browser is gone.
	liveKeepAlive = 10 * time.Second
	// maxStreams is how many pages get what is new at once, and liveRetry how soon the
	// others ask again. A browser has six connections to a server, for all its windows:
	// one that holds a connection for each has none left for anything else.
	maxStreams = 3
	liveRetry  = time.Second
)

// liveMessage is one message to a page that looks at the list.
type liveMessage struct {
	First  uint64            `json:"first"`  // those before it are of an earlier gateway
	Since  time.Time         `json:"since"`  // when somebody began to look
	Missed int64             `json:"missed"` // deliveries that were not listed, because there were too many
	Rows   []json.RawMessage `json:"rows"`   // summaries, the oldest first
}

// live sends the list to a page, and then what is new. While at least one page is
// connected, and a while longer, the ring takes deliveries.
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	defer c.ring.Watch()()
	defer c.ring.Keep(keepTime) // until it asks again, or is loaded again
	isStream := c.streams.Add(1) <= maxStreams
	defer c.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	last, _ := strconv.ParseUint(cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")), 10, 64) // 0 for a new page
	out := http.NewResponseController(w)
	for first := true; ; first = false {
		records, changed := c.ring.after(last)
		if len(records) > 0 || first {
			if len(records) > 0 {
				last = records[len(records)-1].Seq
			}
			text, _ := json.Marshal(c.message(records)) // texts, numbers and times always encode
			fmt.Fprintf(w, "retry: %d\nid: %d\ndata: %s\n\n", liveRetry.Milliseconds(), last, text)
		} else {
			fmt.Fprint(w, ":\n\n")
		}
		if !isStream || out.Flush() != nil || !waitFor(r, changed) {
			return
		}
	}
}

func (c *Console) message(records []*record) liveMessage {
	m := liveMessage{First: c.ring.first, Since: c.ring.watchedSince(), Missed: c.ring.missed.Load(), Rows: make([]json.RawMessage, len(records))}
	for i, rec := range records {
		m.Rows[i] = rec.row
	}
	return m
}

// waitFor waits until there is something new, but at least liveInterval. It reports
// whether the page is still there.
func waitFor(r *http.Request, changed <-chan struct{}) bool {
	pause, quiet := time.NewTimer(liveInterval), time.NewTimer(liveKeepAlive)
	defer pause.Stop()
	defer quiet.Stop()
	select {
	case <-pause.C:
	case <-r.Context().Done():
		return false
	}
	select {
	case <-changed:
	case <-quiet.C:
	case <-r.Context().Done():
		return false
	}
	return true
}

// keepTime is how long the ring takes deliveries for a page that is not connected. A hidden
// one asks again meanwhile, in a browser that slows its timers down to one a minute.
const keepTime = 3 * time.Minute

// keep is for a page that is hidden: a browser has six connections to a server, so a
// page holds none while nobody sees it.
func (c *Console) keep(w http.ResponseWriter, _ *http.Request) {
	c.ring.Keep(keepTime)
	respond(w, map[string]any{"since": c.ring.watchedSince()})
}
