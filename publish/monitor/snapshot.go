package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Snapshot is the state of the streams and the disk. It is not changed.
type Snapshot struct {
	Begun  time.Time
	Events *jetstream.StreamInfo // nil until it is known
	Others *jetstream.StreamInfo // nil until it is known, and without StoreOther
	// Streams are those whose settings and state the servers returned; nil if one did not.
	Streams map[*stream.Spec]*jetstream.StreamInfo
	// Unusable is why an acknowledgement of a stream does not mean that an event is kept.
	Unusable error
	Disk     Disk
	DiskErr  error // why nothing should be written

	err error // why the streams could not be read: Events and Unusable are older
}

// Refresh returns a snapshot that was begun after the call, and why the streams could not
// be read. It takes one unless another caller does. ctx bounds it.
func (m *Monitor) Refresh(ctx context.Context) (*Snapshot, error) {
	called := time.Now()
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return m.snapshot.Load(), fmt.Errorf("stream %s does not answer (%w)", m.Streams.Stream, ctx.Err())
	}
	defer func() { <-m.turn }()
	if s := m.snapshot.Load(); s.Begun.After(called) && s.err == nil {
		return s, nil
	}
	s := m.sample(ctx)
	m.snapshot.Store(s)
	if m.cfg.Store != nil {
		m.cfg.Store.set(s)
	}
	return s, s.err
}

// sample asks the disk and the leader of each stream. While a stream does not respond its
// settings stay as they were known: its acknowledgements tell more than that.
func (m *Monitor) sample(ctx context.Context) *Snapshot {
	last := m.snapshot.Load()
	s := &Snapshot{Begun: time.Now(), Events: last.Events, Others: last.Others, Unusable: last.Unusable}
	s.Disk, s.DiskErr = sampleDisk(m.cfg.DataDir)
	var all []*jetstream.StreamConfig
	streams := map[*stream.Spec]*jetstream.StreamInfo{}
	for _, spec := range m.Streams.Specs() {
		info, err := m.Streams.Inspect(ctx, m.Conn, spec)
		if err != nil && spec.Optional && !natsconn.IsConfigError(err) {
			continue // no delivery fails, and whoever uses it finds out
		}
		if err != nil {
			m.cannotInspect(s, err)
			return s
		}
		switch spec {
		case stream.Events:
			s.Events = info
		case stream.Others:
			s.Others = info
		}
		all, streams[spec] = append(all, &info.Config), info
	}
	s.Streams = streams
	if link, err := m.Conn.Link(); err == nil {
		m.Streams.SetLimit(link, all)
	}
	s.Unusable = nil
	m.unusable.Clear()
	return s
}

func (m *Monitor) cannotInspect(s *Snapshot, err error) {
	switch {
	case natsconn.IsConfigError(err):
		s.Unusable = err
		m.unusable.Set(err)
	case errors.As(err, new(stream.MissingError)):
		s.Unusable = nil // with the stream that was deleted
		m.unusable.Clear()
		m.Conn.Wake() // it is created again
	}
	s.err = err
}

// rejecting returns the streams that reject when they are full, as far as they are known.
func (s *Snapshot) rejecting() map[*stream.Spec]*jetstream.StreamInfo {
	all := make(map[*stream.Spec]*jetstream.StreamInfo, 2)
	if s.Events != nil {
		all[stream.Events] = s.Events
	}
	if s.Others != nil {
		all[stream.Others] = s.Others
	}
	return all
}

// atLimit reports whether the next sample is urgent.
func (s *Snapshot) atLimit() bool {
	return s.Unusable != nil || s.DiskErr != nil || s.Disk.Size > 0 && s.Disk.Free < nearlyFull
}
