package analytics

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// Fields are what events can be counted by: tokens of their subject, in its order.
var Fields = []string{"platform", "account", "prefix", "action"}

// Count is a number of events with the same tokens. Those that it was not counted by are
// empty.
type Count struct {
	Platform string `json:"platform,omitempty"`
	Account  string `json:"account,omitempty"`
	Prefix   string `json:"prefix,omitempty"`
	Action   string `json:"action,omitempty"`
	Events   uint64 `json:"events"`
}

// Values returns the count's tokens in the order of Fields.
func (c *Count) Values() []string { return []string{c.Platform, c.Account, c.Prefix, c.Action} }

// Query says what is counted.
type Query struct {
	Filters []string  // none: all events
	Since   time.Time // when they were stored; zero: all
	By      []string  // of Fields
}

// maxGroups bounds the memory of a count. Events of further groups are counted as others.
const maxGroups = 1 << 20

// Counts is the result of a query, most events first.
type Counts struct {
	Groups []Count `json:"groups"`
	Others uint64  `json:"others,omitempty"` // events of groups beyond the limit
	Total  uint64  `json:"total"`
}

// CountEvents counts stored events. Without Since the stream has the numbers; else the
// events are read, without their data.
func CountEvents(ctx context.Context, link *natsconn.Link, cfg stream.Settings, q Query, progress Progress) (*Counts, error) {
	c := &counter{root: cfg.Root, by: q.By, groups: make(map[Count]uint64)}
	var err error
	if q.Since.IsZero() {
		err = c.fromState(ctx, link, cfg, q.Filters)
	} else {
		scan := Scan{Stream: cfg.Stream, Filters: q.Filters, Since: q.Since, HeadersOnly: true, Progress: progress}
		err = scan.Run(ctx, link, func(m *stream.Message) { c.add(m.Subject, 1) })
	}
	if err != nil {
		return nil, err
	}
	return c.result(), nil
}

type counter struct {
	root          string
	by            []string
	groups        map[Count]uint64
	others, total uint64
}

func (c *counter) fromState(ctx context.Context, link *natsconn.Link, cfg stream.Settings, filters []string) error {
	return EachSubject(ctx, link, cfg, filters, c.add)
}

// EachSubject calls each with the number of stored events of each subject, as the stream
// knows it. Without filters these are all subjects of events.
func EachSubject(ctx context.Context, link *natsconn.Link, cfg stream.Settings, filters []string, each func(subject string, events uint64)) error {
	s, err := link.JS.Stream(ctx, cfg.Stream)
	if err != nil {
		return err
	}
	if len(filters) == 0 {
		filters = cfg.Subjects(stream.Events)
	}
	for _, filter := range filters {
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
		if err != nil {
			return fmt.Errorf("subjects of stream %s: %w", cfg.Stream, err)
		}
		for subject, events := range info.State.Subjects {
			each(subject, events)
		}
	}
	return nil
}

// Tokens returns the tokens of an event's subject. Another program's subject has none.
func Tokens(root, subject string) (c Count, ok bool) {
	t, ok := schema.ParseSubject(root, subject)
	return Count{Platform: t.Platform, Account: t.Account, Prefix: t.Prefix, Action: t.Action}, ok
}

// By keeps the tokens that the fields name.
func (c Count) By(fields ...string) Count {
	for i, value := range []*string{&c.Platform, &c.Account, &c.Prefix, &c.Action} {
		if !slices.Contains(fields, Fields[i]) {
			*value = ""
		}
	}
	return c
}

func (c *counter) add(subject string, events uint64) {
	key, ok := Tokens(c.root, subject)
	if !ok {
		return
	}
	key = key.By(c.by...)
	c.total += events
	if _, known := c.groups[key]; !known && len(c.groups) >= maxGroups {
		c.others += events
		return
	}
	c.groups[key] += events
}

func (c *counter) result() *Counts {
	result := &Counts{Groups: make([]Count, 0, len(c.groups)), Others: c.others, Total: c.total}
	for key, events := range c.groups {
		key.Events = events
		result.Groups = append(result.Groups, key)
	}
	slices.SortFunc(result.Groups, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), slices.Compare(a.Values(), b.Values()))
	})
	return result
}
