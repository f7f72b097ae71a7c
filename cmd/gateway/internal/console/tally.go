package console

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/postback-gateway/gateway/ingest"
)

const (
	// tallyTime is how far back rejections are counted, in slots of tallySlot.
	tallyTime = 5 * time.Minute
	tallySlot = 15 * time.Second
	// maxReasons bounds the reasons that are counted: an account can be any text.
	maxReasons = 200
)

// tally counts rejections by reason. It is safe for concurrent use.
type tally struct {
	mu      *sync.Mutex
	reasons map[tallyKey]*tallied
}

type tallyKey struct{ handler, account, reason string }

type tallied struct {
	slots [tallyTime / tallySlot]struct {
		start time.Time
		count int
	}
	last   time.Time
	status int
	advice string
}

func newTally() tally { return tally{new(sync.Mutex), make(map[tallyKey]*tallied)} }

func (t tally) count(o *ingest.Observation) {
	if len(o.Account) > maxShown {
		return // several accounts of one delivery, or a path that names no bot
	}
	key, now := tallyKey{o.Handler, o.Account, o.Reason}, o.Received
	t.mu.Lock()
	defer t.mu.Unlock()
	entry := t.reasons[key]
	if entry == nil {
		if len(t.reasons) >= maxReasons {
			return
		}
		entry = &tallied{status: o.Status, advice: advise(o)}
		t.reasons[key] = entry
	}
	start := now.Truncate(tallySlot)
	slot := &entry.slots[start.Unix()/int64(tallySlot.Seconds())%int64(len(entry.slots))]
	if !slot.start.Equal(start) {
		slot.start, slot.count = start, 0
	}
	slot.count++
	entry.last = now
}

// Rejection is how often requests were rejected for one reason.
type Rejection struct {
	Handler string    `json:"handler"`
	Account string    `json:"account"`
	Reason  string    `json:"reason"`
	Status  int       `json:"status"`
	Count   int       `json:"count"` // within tallyTime
	Last    time.Time `json:"last"`
	Advice  string    `json:"advice"`
}

// list returns all reasons, the latest first. Those without a rejection within tallyTime
// have a count of 0.
func (t tally) list(now time.Time) []Rejection {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Rejection, 0, len(t.reasons))
	for key, entry := range t.reasons {
		r := Rejection{key.handler, key.account, key.reason, entry.status, 0, entry.last, entry.advice}
		for _, slot := range entry.slots {
			if now.Sub(slot.start) < tallyTime {
				r.Count += slot.count
			}
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Rejection) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}
