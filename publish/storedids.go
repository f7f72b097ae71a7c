package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/dedup"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// storedIDs has the ids of one stream. All but index and the atomics belong to the
// goroutine that updates it.
type storedIDs struct {
	spec   *stream.Spec
	name   string
	window time.Duration
	dir    string // of the files; empty: it has none
	log    *slog.Logger

	index   *dedup.Index
	reading atomic.Uint64 // sequence up to which ids are read from the stream; 0: none are

	created  time.Time // of the stream; zero until the index is about one
	loaded   bool      // the files were, or they could not be used
	files    *dedup.Files
	complete uint64    // the index was, when the last update ended
	ended    time.Time // of the last update
	due      position  // up to which the index has to be complete next
	verified time.Time // when a sample was begun up to which it is
}

// position is the end of the stream in a sample.
type position struct {
	sequence uint64
	begun    time.Time
}

// settleTime is how long an acknowledgement may be on its way to the index before the index
// has a gap.
const settleTime = 2 * time.Second

// isOther reports whether the stream is not the one that the index is about: it was created
// again, or has lost its end.
func (s *storedIDs) isOther(info *jetstream.StreamInfo, begun time.Time) bool {
	return !info.Created.Equal(s.created) || info.State.LastSeq < s.complete && begun.After(s.ended)
}

// update completes the index up to a sample that is older than settleTime, or up to this
// one if it is the first.
func (s *storedIDs) update(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo, begun time.Time) error {
	if s.verified.IsZero() || begun.Sub(s.due.begun) >= settleTime {
		if s.index.Complete() < s.due.sequence {
			if err := s.read(ctx, link, s.due.sequence); err != nil {
				return err
			}
		}
		s.verified, s.due = s.due.begun, position{info.State.LastSeq, begun}
	}
	s.complete, s.ended = s.index.Complete(), time.Now()
	return nil
}

// restart has the index begin anew: at the start of the process with its files, later with
// nothing, because they are about the stream as it was.
func (s *storedIDs) restart(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo, begun time.Time) error {
	s.created, s.verified, s.complete, s.due = time.Time{}, time.Time{}, 0, position{info.State.LastSeq, begun}
	s.index.Clear()
	if s.loaded {
		s.log.Warn("the stream is not the one that it was: its ids are read again")
	}
	if err := s.openFiles(ctx, link, info); err != nil {
		return err
	}
	s.created, s.loaded = info.Created, true
	return nil
}

func (s *storedIDs) openFiles(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo) (err error) {
	if s.dir == "" {
		return nil
	}
	s.files, err = dedup.Open(s.dir, dedup.Origin{Stream: s.name, Created: info.Created}, s.index)
	if err != nil {
		return err
	}
	if s.loaded {
		return s.files.Discard()
	}
	reason := s.files.Load(info.State.LastSeq)
	if reason == nil {
		if reason, err = s.compareNewest(ctx, link); err != nil {
			return err
		}
	}
	if reason != nil {
		s.log.Warn("the files with the ids of stored events cannot be used: the ids are read from the stream", slog.Any("reason", reason))
		return s.files.Discard()
	}
	return nil
}

// compareNewest returns as reason that the newest id of the files is not that of its
// message: the stream was restored from an older backup, and has gone on without the files.
// If the message was deleted, nobody can say.
func (s *storedIDs) compareNewest(ctx context.Context, link *natsconn.Link) (reason, err error) {
	key, sequence := s.index.Newest()
	if sequence == 0 {
		return nil, nil
	}
	m, err := stream.GetMessage(ctx, link.NC, s.name, stream.Query{Seq: sequence})
	if err != nil || m == nil || dedup.KeyOf(m.Header.Get(jetstream.MsgIDHeader)) == key {
		return nil, err
	}
	return fmt.Errorf("message %d of the stream has another id: the stream was restored from a backup", sequence), nil
}

// progressInterval is how often the log says how far a long reading is.
const progressInterval = 5 * time.Second

// read adds the ids that are missing up to a sequence.
func (s *storedIDs) read(ctx context.Context, link *natsconn.Link, to uint64) error {
	s.reading.Store(to)
	defer s.reading.Store(0)
	cfg := stream.ReaderConfig{Stream: s.name, HeadersOnly: true, Inspects: "ids"}
	if cfg.Sequence = s.index.Complete() + 1; cfg.Sequence == 1 {
		cfg.Sequence, cfg.Since = 0, time.Now().Add(-s.window)
	}
	r, err := stream.Open(ctx, link, cfg)
	if err != nil {
		return err
	}
	defer r.Close()
	for due := time.Now().Add(progressInterval); s.index.Complete() < to; {
		m, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			break // the others were deleted
		}
		if err != nil {
			return err
		}
		if id := m.Header.Get(jetstream.MsgIDHeader); id != "" {
			s.index.Add(dedup.KeyOf(id), m.Sequence, m.Time)
		}
		s.index.SetComplete(m.Sequence)
		if time.Now().After(due) {
			s.log.Info("reading the ids of stored events", slog.Uint64("at", m.Sequence), slog.Uint64("of", to))
			due = time.Now().Add(progressInterval)
		}
	}
	s.index.SetComplete(to)
	return nil
}
