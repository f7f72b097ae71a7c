package publish

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// claims are the filters by which the consumers of a stream ask for a part of its
// events. Who asks for all of them, an archive or a dashboard, claims none: it
// acts on no event in particular.
type claims []string

// LookMetadata marks a consumer through which somebody only looks at events. It
// claims nothing, and neither would whoever looks for what nobody answers.
const LookMetadata = "postback-gateway-look"

// readClaims lists the claims on a stream below the root; of durable consumers
// alone, or of all that are there now.
func readClaims(ctx context.Context, stream jetstream.Stream, root string, durable bool) (claims, error) {
	var all claims
	everything := root + ".*.*.*.*" // every event's subject has this form
	consumers := stream.ListConsumers(ctx)
	for c := range consumers.Info() {
		if durable && c.Config.Durable == "" || c.Config.Metadata[LookMetadata] != "" {
			continue
		}
		for _, filter := range filters(&c.Config) {
			if !server.SubjectMatchesFilter(everything, filter) {
				all = append(all, filter)
			}
		}
	}
	return all, consumers.Err()
}

func (c claims) match(subject string) bool {
	return slices.ContainsFunc(c, func(filter string) bool { return server.SubjectMatchesFilter(subject, filter) })
}

// UnclaimedSubject is a subject with events that no consumer asks for.
type UnclaimedSubject struct {
	Subject string    `json:"subject"`
	Events  uint64    `json:"events"` // that the stream holds
	Last    time.Time `json:"last"`   // when the last of them was stored
}

// Unclaimed returns the subjects below root with an event since then that no
// consumer of the stream asks for, sorted. Consumers that ask for everything below
// root do not count, and NATS subscriptions without a consumer are not known to
// the stream.
func Unclaimed(ctx context.Context, stream jetstream.Stream, root string, since time.Time) ([]UnclaimedSubject, error) {
	all := root + ".>"
	asked, err := readClaims(ctx, stream, root, false)
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(all))
	if err != nil {
		return nil, err
	}
	var found []UnclaimedSubject
	err = eachLast(ctx, stream, all, func(subject string, at time.Time) {
		if !at.Before(since) && !asked.match(subject) {
			found = append(found, UnclaimedSubject{subject, info.State.Subjects[subject], at})
		}
	})
	slices.SortFunc(found, func(a, b UnclaimedSubject) int { return cmp.Compare(a.Subject, b.Subject) })
	return found, err
}

// eachLast calls do with each subject and when its last message was stored.
func eachLast(ctx context.Context, stream jetstream.Stream, filter string, do func(string, time.Time)) error {
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		FilterSubject:     filter,
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		HeadersOnly:       true,
		MemoryStorage:     true,
		InactiveThreshold: setUpTimeout,
	})
	if err != nil {
		return err
	}
	left := consumer.CachedInfo().NumPending
	if left == 0 {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		m, err := messages.Next(jetstream.NextMaxWait(setUpTimeout))
		if errors.Is(err, nats.ErrTimeout) && ctx.Err() == nil {
			return nil // the others were purged meanwhile
		}
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		do(m.Subject(), meta.Timestamp)
	}
	return nil
}
