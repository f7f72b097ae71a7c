package analytics

import (
	"context"
	"sync"
	"time"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// BucketTime is how long a bucket of a series is.
const BucketTime = 5 * time.Minute

// maxEntries bounds the memory of a series, to about 30 MB: an entry is a subject in a
// bucket. Beyond it events count for the subject "".
const maxEntries = 300_000

// Series counts the events of each subject over time, by when they were stored. It keeps
// what it has counted: each event is read once, also if a scan is canceled and started
// again. It is safe for concurrent use; one scan at a time.
type Series struct {
	// Keep is how far back events are counted at most.
	Keep time.Duration

	turn  sync.Mutex
	mu    sync.Mutex // guards all fields below
	count *count
}

// count has the events from a time, and of these the sequences from first to before next.
type count struct {
	created     time.Time // when the stream was
	from        time.Time
	first, next uint64 // 0: no event was counted yet
	buckets     map[int64]map[string]uint64
	subjects    map[string]string // each once, so that buckets share their memory
	entries     int
}

func newCount(created, from time.Time) *count {
	return &count{created: created, from: from, buckets: make(map[int64]map[string]uint64), subjects: make(map[string]string)}
}

// Update counts what is not counted yet since a time.
func (s *Series) Update(ctx context.Context, link *natsconn.Link, cfg stream.Settings, since time.Time, scan Scan) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	info, err := link.JS.Stream(ctx, cfg.Stream)
	if err != nil {
		return err
	}
	oldest := time.Now().Add(-s.Keep)
	since = laterOf(since, oldest).Truncate(BucketTime)
	c := s.prepare(info.CachedInfo().Created, info.CachedInfo().State.LastSeq, since, oldest)
	scan.Stream, scan.HeadersOnly = cfg.Stream, true
	scan.Filters = cfg.Subjects(stream.Events)
	if since.Before(c.from) {
		if err := s.extend(ctx, link, c, since, scan); err != nil {
			return err
		}
	}
	if scan.Sequence = c.next; c.next == 0 {
		scan.Since = c.from
	}
	return scan.Run(ctx, link, func(m *stream.Message) {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.add(m.Subject, m.Time, 1)
		if c.next = m.Sequence + 1; c.first == 0 {
			c.first = m.Sequence
		}
	})
}

func laterOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// prepare returns the count to go on with, without what is too old. A stream that was
// created again, or that has lost its end, is counted from the beginning.
func (s *Series) prepare(created time.Time, last uint64, since, oldest time.Time) *count {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.count
	if c == nil || !c.created.Equal(created) || c.next > last+1 {
		c = newCount(created, since)
		s.count = c
	}
	if c.next == 0 {
		c.from = since
	}
	for start, bucket := range c.buckets {
		if time.Unix(start, 0).Add(BucketTime).Before(oldest) {
			c.entries -= len(bucket)
			delete(c.buckets, start)
		}
	}
	return c
}

// extend counts the events before those that were counted. They count when all of them
// are known.
func (s *Series) extend(ctx context.Context, link *natsconn.Link, c *count, since time.Time, scan Scan) error {
	older := newCount(c.created, since)
	scan.Since, scan.Before = since, c.first
	err := scan.Run(ctx, link, func(m *stream.Message) {
		older.add(m.Subject, m.Time, 1)
		if older.first == 0 {
			older.first = m.Sequence
		}
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for start, bucket := range older.buckets {
		for subject, events := range bucket {
			c.add(subject, time.Unix(start, 0), events)
		}
	}
	if c.from = since; older.first > 0 {
		c.first = older.first
	}
	return nil
}

func (c *count) add(subject string, at time.Time, events uint64) {
	start := at.Truncate(BucketTime).Unix()
	bucket := c.buckets[start]
	if bucket == nil {
		bucket = make(map[string]uint64)
		c.buckets[start] = bucket
	}
	if _, known := bucket[subject]; !known {
		if c.entries >= maxEntries {
			subject = ""
		}
		if _, known := bucket[subject]; !known {
			c.entries++
		}
		if own, known := c.subjects[subject]; known {
			subject = own
		} else {
			c.subjects[subject] = subject
		}
	}
	bucket[subject] += events
}

// Each calls each for the events of a subject in each bucket since a time.
func (s *Series) Each(since time.Time, each func(start time.Time, subject string, events uint64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		return
	}
	for start, bucket := range s.count.buckets {
		if at := time.Unix(start, 0); !at.Before(since.Truncate(BucketTime)) {
			for subject, events := range bucket {
				each(at, subject, events)
			}
		}
	}
}
