package console

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/postback-gateway/gateway/publish/analytics"
)

// scans reads stored events for the pages: one scan at a time, and one for all viewers
// who ask for the same. A scan ends when its last viewer has gone.
type scans struct {
	turn chan struct{} // held by the scan that reads

	mu      sync.Mutex
	running map[string]*scan
}

func newScans() *scans { return &scans{turn: make(chan struct{}, 1), running: make(map[string]*scan)} }

// scan is one scan and how far it is.
type scan struct {
	stop    context.CancelFunc
	viewers int // guarded by scans

	mu      sync.Mutex
	state   scanState
	changed chan struct{} // closed when there is a new state
}

// scanState is a line of the response.
type scanState struct {
	Waiting bool   `json:"waiting,omitempty"` // for another scan
	Done    uint64 `json:"done"`
	Total   uint64 `json:"total"`
	Result  any    `json:"result,omitempty"`
	Error   string `json:"error,omitempty"`
}

func (s *scanState) isEnd() bool { return s.Result != nil || s.Error != "" }

// scanFunc reads, and reports how far it is.
type scanFunc func(context.Context, analytics.Progress) (any, error)

// join returns the scan with a key, which it starts if there is none.
func (s *scans) join(c *Console, key string, run scanFunc) (joined *scan, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	joined = s.running[key]
	if joined == nil {
		ctx, stop := context.WithCancel(c.ctx)
		joined = &scan{stop: stop, state: scanState{Waiting: true}, changed: make(chan struct{})}
		s.running[key] = joined
		c.background.Go(func() {
			defer stop()
			joined.run(ctx, s.turn, run)
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.running[key] == joined {
				delete(s.running, key)
			}
		})
	}
	joined.viewers++
	return joined, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if joined.viewers--; joined.viewers == 0 {
			joined.stop()
			if s.running[key] == joined {
				delete(s.running, key)
			}
		}
	}
}

func (s *scan) run(ctx context.Context, turn chan struct{}, run scanFunc) {
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-turn }()
	s.set(scanState{})
	s.set(endOf(run(ctx, func(done, total uint64) { s.set(scanState{Done: done, Total: total}) })))
}

func endOf(result any, err error) scanState {
	if err != nil {
		return scanState{Error: err.Error()}
	}
	return scanState{Result: result}
}

// respondLine answers like a scan that has ended, without a turn.
func respondLine(w http.ResponseWriter, run func() (any, error)) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	_ = json.NewEncoder(w).Encode(endOf(run())) // an error means that the browser hung up
}

func (s *scan) set(state scanState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *scan) read() (scanState, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.changed
}

// serve runs a scan for a request: a line of JSON whenever there is progress, and the
// result or the error as the last one. It is canceled by closing the request.
func (s *scans) serve(c *Console, w http.ResponseWriter, r *http.Request, run scanFunc) {
	joined, leave := s.join(c, r.URL.Path+"?"+r.URL.Query().Encode(), run)
	defer leave()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, lines := http.NewResponseController(w), json.NewEncoder(w)
	for {
		state, changed := joined.read()
		if lines.Encode(state) != nil || out.Flush() != nil || state.isEnd() {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-c.ctx.Done():
			return
		}
		if state, _ := joined.read(); !state.isEnd() && !waitFor(r, closed) {
			return
		}
	}
}

// closed is for a wait that only takes its shortest time.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
