package console

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

const (
	// maxRows bounds the table, and maxLines the lines of the plot.
	maxRows  = 100
	maxLines = 5
	// keepCounts is how far back events are counted by time: the longest window.
	keepCounts = 7 * 24 * time.Hour
)

// steps are between two points of the plot.
var plotSteps = map[string]time.Duration{"1h": analytics.BucketTime, "24h": 30 * time.Minute, "7d": 3 * time.Hour}

// clicksBy are what the table can be counted by.
var clicksBy = map[string][]string{
	"": {"prefix", "action"}, "action": {"prefix", "action"}, "prefix": {"prefix"}, "platform": {"platform"}, "account": {"platform", "account"},
}

// clicks is what people press, the most pressed first.
type clicks struct {
	Total uint64     `json:"total"`
	Rows  []clickRow `json:"rows"`
	More  int        `json:"more"` // rows that are not listed
	// Times and Lines are the plot: the beginnings of its steps in seconds, and the events
	// of the first rows and of the others in each of them. Without a window there is none.
	Times []int64    `json:"times"`
	Lines [][]uint64 `json:"lines"`
	// Accounts are all that have events, to choose one.
	Accounts []analytics.Count `json:"accounts"`
}

type clickRow struct {
	analytics.Count
	Unclaimed uint64 `json:"unclaimed"` // of its events: those that no consumer asks for
}

// clicksQuery is what the page asks for.
type clicksQuery struct {
	by                []string
	platform, account string // tokens; empty for all
	begin             time.Time
	step              time.Duration // of the plot; 0 without one
}

// clickCounts answers with what people press. It is a scan, unless the window is
// everything that is stored: the stream knows these numbers.
func (c *Console) clickCounts(w http.ResponseWriter, r *http.Request) {
	begin, ok := since(w, r)
	if !ok {
		return
	}
	given := r.URL.Query()
	by := clicksBy[given.Get("by")]
	if by == nil {
		fail(w, http.StatusUnprocessableEntity, "expected by=action, prefix, platform or account")
		return
	}
	q := clicksQuery{by, given.Get("platform"), given.Get("account"), begin, plotSteps[given.Get("window")]}
	if q.step == 0 {
		respondLine(w, func() (any, error) { return c.countClicks(r.Context(), q, nil) })
		return
	}
	c.scans.serve(c, w, r, func(ctx context.Context, progress analytics.Progress) (any, error) {
		return c.countClicks(ctx, q, progress)
	})
}

func (c *Console) countClicks(ctx context.Context, q clicksQuery, progress analytics.Progress) (*clicks, error) {
	link, err := c.Consumers.Conn.Link()
	if err != nil {
		return nil, err
	}
	t := clickTally{clicksQuery: q, root: c.Subjects.Root, rows: make(map[analytics.Count]*clickRow), accounts: make(map[analytics.Count]bool),
		times: make(map[analytics.Count]map[int64]uint64)}
	if t.claimed, err = c.claimed(ctx, link); err != nil {
		return nil, err
	}
	if q.step == 0 {
		err = analytics.EachSubject(ctx, link, c.settings(), nil, func(subject string, events uint64) { t.add(time.Time{}, subject, events) })
	} else {
		err = c.series.Update(ctx, link, c.settings(), q.begin, analytics.Scan{Progress: progress})
		c.series.Each(q.begin, t.add)
	}
	if err != nil {
		return nil, err
	}
	return t.result(time.Now()), nil
}

func (c *Console) claimed(ctx context.Context, link *natsconn.Link) (monitor.Filters, error) {
	s, err := link.JS.Stream(ctx, c.settings().Stream)
	if err != nil {
		return nil, err
	}
	return monitor.ConsumerFilters(ctx, s, c.Subjects.Root, false)
}

type clickTally struct {
	clicksQuery
	root     string
	claimed  monitor.Filters
	total    uint64
	rows     map[analytics.Count]*clickRow
	accounts map[analytics.Count]bool
	times    map[analytics.Count]map[int64]uint64
}

func (t *clickTally) add(at time.Time, subject string, events uint64) {
	tokens, ok := analytics.Tokens(t.root, subject)
	if !ok {
		return
	}
	t.accounts[tokens.By("platform", "account")] = true
	if t.platform != "" && tokens.Platform != t.platform || t.account != "" && tokens.Account != t.account {
		return
	}
	key := tokens.By(t.by...)
	row := t.rows[key]
	if row == nil {
		row = &clickRow{Count: key}
		t.rows[key], t.times[key] = row, make(map[int64]uint64)
	}
	t.total += events
	if row.Events += events; !t.claimed.Match(subject) {
		row.Unclaimed += events
	}
	if t.step > 0 {
		t.times[key][at.Truncate(t.step).Unix()] += events
	}
}

func (t *clickTally) result(now time.Time) *clicks {
	c := &clicks{Total: t.total, Rows: []clickRow{}, Times: []int64{}, Lines: [][]uint64{}, Accounts: []analytics.Count{}}
	for _, row := range t.rows {
		c.Rows = append(c.Rows, *row)
	}
	slices.SortFunc(c.Rows, func(a, b clickRow) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), slices.Compare(a.Values(), b.Values()))
	})
	for account := range t.accounts {
		c.Accounts = append(c.Accounts, account)
	}
	slices.SortFunc(c.Accounts, func(a, b analytics.Count) int { return slices.Compare(a.Values(), b.Values()) })
	if t.step > 0 {
		t.plot(c, now)
	}
	c.More = max(0, len(c.Rows)-maxRows)
	c.Rows = c.Rows[:min(len(c.Rows), maxRows)]
	return c
}

// plot has a line for each of the first rows, and one for all others if there are some.
func (t *clickTally) plot(c *clicks, now time.Time) {
	for at := t.begin.Truncate(t.step); !at.After(now); at = at.Add(t.step) {
		c.Times = append(c.Times, at.Unix())
	}
	c.Lines = make([][]uint64, min(len(c.Rows), maxLines+1))
	for i := range c.Lines {
		c.Lines[i] = make([]uint64, len(c.Times))
	}
	for i := range c.Rows {
		line := c.Lines[min(i, maxLines)]
		key := c.Rows[i].Count
		key.Events = 0
		for j, at := range c.Times {
			line[j] += t.times[key][at]
		}
	}
}

// maxTitles is how many titles one request reveals.
const maxTitles = 100

// titles reveals what stands on the buttons. The log keeps who did it.
func (c *Console) titles(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Rows []analytics.Count `json:"rows"`
	}
	if !decode(w, r, &asked) {
		return
	}
	link, err := c.Consumers.Conn.Link()
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), reportTimeout)
	defer cancel()
	titles := make([]string, min(len(asked.Rows), maxTitles))
	for i := range titles {
		titles[i] = lastTitle(ctx, link, c.settings(), &asked.Rows[i])
	}
	c.Log.Info("titles of buttons revealed in the console", "remote", r.RemoteAddr, "buttons", len(titles))
	respond(w, map[string]any{"titles": titles})
}

// lastTitle returns the title of the last event of a row, if it has one.
func lastTitle(ctx context.Context, link *natsconn.Link, cfg stream.Settings, row *analytics.Count) string {
	tokens := schema.Tokens{Platform: row.Platform, Account: row.Account, Prefix: row.Prefix, Action: row.Action}
	for _, filter := range tokens.Filters(cfg.Root) {
		m, err := stream.GetMessage(ctx, link.NC, cfg.Stream, stream.Query{Last: filter})
		if err != nil || m == nil {
			continue
		}
		var e schema.Event
		if json.Unmarshal(m.Data, &e) == nil && e.Data.Title != "" {
			return cut(e.Data.Title)
		}
	}
	return ""
}
