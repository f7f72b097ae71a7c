package monitor

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// Filters are those by which the consumers of a stream receive a part of its events. A
// consumer of everything, such as an archive or a dashboard, does not count: it responds
// to no event in particular.
type Filters []string

// ConsumerFilters lists the filters of a stream's consumers, or of its durable ones.
func ConsumerFilters(ctx context.Context, s jetstream.Stream, root string, durable bool) (Filters, error) {
	var all Filters
	list := s.ListConsumers(ctx)
	for c := range list.Info() {
		if durable && c.Config.Durable == "" || c.Config.Metadata[stream.InspectMetadata] != "" {
			continue
		}
		for _, filter := range filters(&c.Config) {
			if !SelectsAll(root, filter) {
				all = append(all, filter)
			}
		}
	}
	return all, list.Err()
}

// SelectsAll reports whether a filter matches every event, or every event of a partition.
func SelectsAll(root, filter string) bool {
	all := schema.Tokens{Action: "*"}.Filters(root)
	if last := filter[strings.LastIndexByte(filter, '.')+1:]; schema.IsPartition(last) {
		all = append(all, schema.Tokens{Partition: last}.Filters(root)...)
	}
	return slices.ContainsFunc(all, func(events string) bool { return server.SubjectMatchesFilter(events, filter) })
}

// Match reports whether a consumer receives the subject.
func (f Filters) Match(subject string) bool {
	return slices.ContainsFunc(f, func(filter string) bool { return server.SubjectMatchesFilter(subject, filter) })
}

// UnclaimedSubject is a subject with events that no consumer asks for.
type UnclaimedSubject struct {
	Subject string    `json:"subject"`
	Events  uint64    `json:"events"` // that the stream holds
	Last    time.Time `json:"last"`   // when the last of them was stored
}

// Unclaimed returns the subjects with an event since then that no consumer asks for,
// sorted. Consumers of everything do not count, and the stream does not know NATS
// subscriptions without a consumer.
func Unclaimed(ctx context.Context, link *natsconn.Link, cfg stream.Settings, since time.Time) ([]UnclaimedSubject, error) {
	s, err := link.JS.Stream(ctx, cfg.Stream)
	if err != nil {
		return nil, err
	}
	claimed, err := ConsumerFilters(ctx, s, cfg.Root, false)
	if err != nil {
		return nil, err
	}
	all := cfg.Subjects(stream.Events)[0]
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(all))
	if err != nil {
		return nil, err
	}
	r, err := stream.Open(ctx, link, stream.ReaderConfig{Stream: cfg.Stream, Filters: []string{all}, LastPerSubject: true, HeadersOnly: true, Inspects: "unclaimed"})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var found []UnclaimedSubject
	for {
		m, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			slices.SortFunc(found, func(a, b UnclaimedSubject) int { return cmp.Compare(a.Subject, b.Subject) })
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if !m.Time.Before(since) && !claimed.Match(m.Subject) {
			found = append(found, UnclaimedSubject{m.Subject, info.State.Subjects[m.Subject], m.Time})
		}
	}
}

// unclaimedInterval is how often the metric of unclaimed subjects is updated, and
// UnclaimedPeriod for how long a subject counts after its last event.
const (
	unclaimedInterval = time.Minute
	UnclaimedPeriod   = 24 * time.Hour
)

func (m *Monitor) sampleUnclaimed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, unclaimedInterval/2)
	defer cancel()
	link, err := m.Conn.Link()
	if err != nil {
		return err
	}
	found, err := Unclaimed(ctx, link, m.cfg.Streams, time.Now().Add(-UnclaimedPeriod))
	if err == nil {
		m.cfg.Servers.unclaimed.Set(float64(len(found)))
	}
	return err
}
