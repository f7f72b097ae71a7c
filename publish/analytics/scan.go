package analytics

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Progress is called now and then while events are read: done of total are.
type Progress func(done, total uint64)

// Scan reads the stored events once. It uses no memory for what it has read, and reads
// slowly while events are stored.
type Scan struct {
	Stream      string
	Filters     []string
	Since       time.Time // when they were stored; zero: all
	Sequence    uint64    // of the first one, instead of Since; 0: none
	Before      uint64    // the scan ends before this sequence; 0: at what is the last event when it begins
	HeadersOnly bool
	Progress    Progress // may be nil
	// FullSpeed is for what cannot wait: it slows deliveries down.
	FullSpeed bool

	pacer *pacer // set by Run, and by tests
}

const (
	// progressEvery is how many events there are between two calls of Progress.
	progressEvery = 1000
	// maxFailures is how often in a row a scan goes on after an error, and failurePause
	// the pause before.
	maxFailures  = 5
	failurePause = time.Second
)

// Run calls each for every event, in order. When the server goes away it goes on where it
// was. It ends at what was the last event when it began.
func (s Scan) Run(ctx context.Context, link *natsconn.Link, each func(*stream.Message)) error {
	cfg := stream.ReaderConfig{Stream: s.Stream, Filters: s.Filters, Since: s.Since, Sequence: s.Sequence, HeadersOnly: s.HeadersOnly, Inspects: "analytics"}
	if s.pacer == nil {
		s.pacer = newPacer(link, s.Stream)
	}
	run := scanning{Scan: s, link: link, cfg: cfg, each: each}
	for failures := 0; ; failures++ {
		before := run.done
		err := run.read(ctx)
		if run.done > before {
			failures = 0
		}
		switch {
		case errors.Is(err, io.EOF):
			run.report()
			return nil
		case ctx.Err() != nil, failures >= maxFailures, errors.Is(err, jetstream.ErrStreamNotFound):
			return err
		}
		natsconn.Sleep(ctx, failurePause)
	}
}

// scanning is a scan in progress.
type scanning struct {
	Scan
	link        *natsconn.Link
	cfg         stream.ReaderConfig
	each        func(*stream.Message)
	done, total uint64
}

// read reads on until an error; io.EOF is the end.
func (s *scanning) read(ctx context.Context) error {
	r, err := stream.Open(ctx, s.link, s.cfg)
	if err != nil {
		return err
	}
	defer r.Close()
	s.total = max(s.total, s.done+r.Pending())
	for {
		if !s.FullSpeed {
			s.pacer.wait(ctx)
		}
		m, err := r.Next(ctx)
		if err != nil {
			return err
		}
		if s.Before > 0 && m.Sequence >= s.Before {
			return io.EOF
		}
		s.each(m)
		s.cfg.Sequence, s.cfg.Since = m.Sequence+1, time.Time{}
		s.done++
		if s.Before > 0 {
			s.total = min(s.total, s.done+s.Before-m.Sequence)
		}
		if s.done%progressEvery == 0 {
			s.report()
		}
	}
}

func (s *scanning) report() {
	if s.Progress != nil {
		s.Progress(s.done, max(s.done, s.total))
	}
}
