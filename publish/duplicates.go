package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/postback-gateway/gateway/publish/dedup"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/stream"
)

// duplicates recognises what was stored before, for longer than the server does. It has an
// index of ids for each stream that deliveries are stored in.
//
// An id gets there with its acknowledgement. Of two deliveries at once, and of a message
// without an acknowledgement, only the server knows the id, for stream.ServerWindow. So the
// last sequence of each stream is sampled. The index has a gap if it does not have all ids
// up to there, and gaps are read from the stream: what was not acknowledged, what another
// program has published, and at the start what is not in the files of the index. Nothing is
// published unless a sample of the last maxUnverified shows no gap.
type duplicates struct {
	monitor *monitor.Monitor
	streams map[string]*storedIDs // by name
	durable func(context.Context) error
	log     *slog.Logger

	base     time.Time     // verified counts from here, in nanoseconds
	verified atomic.Int64  // when a sample was begun up to which no id is missing; 0: never
	built    chan struct{} // closed when that was so for the first time
	failed   atomic.Pointer[error]

	turn    chan struct{} // held while the indexes are completed and saved: a lock with a context
	begun   time.Time     // of the last sample that was used
	savedAt time.Time
}

// maxUnverified leaves the other half of the server's window to a message that waits in a
// queue of the server.
const maxUnverified = stream.ServerWindow / 2

// saveInterval is how often the indexes are written to files, beginning when they are
// complete. A start reads from the streams what came after that.
const saveInterval = time.Minute

// newDuplicates returns nil if the settings leave duplicates to the server.
func newDuplicates(p *Publisher) *duplicates {
	d := &duplicates{
		monitor: p.monitor, streams: map[string]*storedIDs{}, durable: p.waitUntilDurable, log: p.log,
		base: time.Now(), built: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	for _, spec := range p.cfg.Specs() {
		if p.cfg.HasIndex(spec) {
			name := p.cfg.Name(spec)
			d.streams[name] = &storedIDs{
				spec: spec, name: name, window: p.cfg.DuplicateWindow, index: dedup.New(p.cfg.DuplicateWindow),
				log: p.log.With(slog.String("stream", name)),
			}
			if p.cfg.DataDir != "" {
				d.streams[name].dir = filepath.Join(p.cfg.DataDir, "ids", name)
			}
		}
	}
	if len(d.streams) == 0 {
		return nil
	}
	p.monitor.Every(0, "the ids of stored events cannot be read", d.update)
	return d
}

// indexWait is how long Open waits for the indexes. After that the gateway says in its
// readiness what it waits for.
const indexWait = 10 * time.Second

// waitBuilt waits until the indexes are complete.
func (d *duplicates) waitBuilt(ctx context.Context) {
	if d == nil || !d.monitor.Conn.Online() {
		return
	}
	select {
	case <-d.built:
	case <-ctx.Done():
	case <-time.After(indexWait):
	}
}

// err returns why nobody can say what was stored before.
func (d *duplicates) err() error {
	if d == nil || d.isVerified() {
		return nil
	}
	for name, s := range d.streams {
		if to := s.reading.Load(); to != 0 {
			return fmt.Errorf("the ids of stored events are read from stream %s, to recognise repeated deliveries: at message %d of %d", name, s.index.Complete(), to)
		}
	}
	err := errors.New("the streams have not answered yet, or not for " + maxUnverified.String())
	if failed := d.failed.Load(); failed != nil {
		err = *failed
	}
	return fmt.Errorf("repeated deliveries would not be recognised: %w", err)
}

func (d *duplicates) isVerified() bool {
	verified := d.verified.Load()
	return verified != 0 && time.Since(d.base)-time.Duration(verified) < maxUnverified
}

// update completes the indexes up to the last sample of the monitor, and saves them.
func (d *duplicates) update(ctx context.Context) error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	err := d.complete(ctx)
	if err != nil {
		d.failed.Store(&err)
		return err
	}
	d.failed.Store(nil)
	if d.isVerified() && time.Since(d.savedAt) > saveInterval {
		d.save(ctx)
	}
	return nil
}

func (d *duplicates) complete(ctx context.Context) error {
	sample := d.monitor.Snapshot()
	if sample.Streams == nil || !sample.Begun.After(d.begun) {
		return nil
	}
	link, err := d.monitor.Conn.Link()
	if err != nil {
		return err
	}
	verified := sample.Begun
	for _, s := range d.streams {
		info := sample.Streams[s.spec]
		if info == nil {
			return fmt.Errorf("stream %s is not known", s.name)
		}
		if s.isOther(info, sample.Begun) {
			d.verified.Store(0) // before the index is empty, see find
			if err := s.restart(ctx, link, info, sample.Begun); err != nil {
				return err
			}
		}
		if err := s.update(ctx, link, info, sample.Begun); err != nil {
			return err
		}
		if s.verified.Before(verified) {
			verified = s.verified
		}
	}
	d.begun = sample.Begun
	d.verified.Store(int64(max(1, verified.Sub(d.base))))
	d.markBuilt()
	return nil
}

func (d *duplicates) markBuilt() {
	select {
	case <-d.built:
	default:
		close(d.built)
	}
}

// save writes the indexes to their files. Without them the next start only takes longer.
func (d *duplicates) save(ctx context.Context) {
	d.savedAt = time.Now()
	var err error
	for _, s := range d.streams {
		s.index.Expire(time.Now())
		if s.files != nil {
			err = errors.Join(err, s.files.Save(func() error { return d.durable(ctx) }))
		}
	}
	if err != nil {
		d.log.Warn("the ids of stored events are not written to files, so the next start reads them from the streams", slog.Any("error", err))
	}
}

// close saves the indexes if they are complete.
func (d *duplicates) close(ctx context.Context) {
	if d == nil || !d.isVerified() {
		return
	}
	select {
	case d.turn <- struct{}{}:
		d.save(ctx)
		<-d.turn
	case <-ctx.Done():
	}
}
