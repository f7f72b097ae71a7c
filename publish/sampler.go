package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// sampleInterval is how often the settings of the streams are looked at: for as long
// deliveries are answered 200 at most after somebody has made a stream one that does
// not keep them.
const sampleInterval = 500 * time.Millisecond

// sampleStreams keeps what is known of the streams' settings until ctx ends.
func (p *Publisher) sampleStreams(ctx context.Context) {
	p.every(ctx, sampleInterval, "the settings of the streams cannot be read", p.sample)
}

// sample looks at the settings once. While a stream does not answer they stay as they
// were known: its acknowledgements tell more than that.
func (p *Publisher) sample(ctx context.Context) error {
	l, err := p.connected()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	var all []*jetstream.StreamConfig
	for _, want := range p.cfg.streams() {
		info, err := p.inspect(ctx, l, want)
		if isFault(err) {
			p.unusable.note(err)
			return nil
		}
		if errors.As(err, new(goneError)) && p.checkStreams() != nil {
			p.unusable.clear() // with the stream that was
			p.wake()
		}
		if err != nil {
			return err
		}
		all = append(all, &info.Config)
	}
	p.streamLimit.Store(int64(messageLimit(all)))
	p.unusable.clear()
	return nil
}

// checkStreams returns why an acknowledgement would not mean that an event is kept.
func (p *Publisher) checkStreams() error {
	if text := p.unusable.String(); text != "" {
		return errors.New(text)
	}
	return nil
}

// inspect asks the stream's leader how it is. Where there is none, nobody answers.
func (p *Publisher) inspect(ctx context.Context, l *link, want jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	s, err := l.js.Stream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, goneError(want.Name)
	case isWithoutJetStream(err):
		return nil, p.withoutJetStream(err)
	case err != nil:
		return nil, fmt.Errorf("stream %s does not answer (%w%s): see that enough NATS servers run for it to have a leader", want.Name, err, p.reported())
	}
	info := s.CachedInfo()
	return info, check(&info.Config, &want)
}

// goneError names a stream that is missing.
type goneError string

func (g goneError) Error() string {
	return fmt.Sprintf("stream %s is gone: it is created again", string(g))
}

// messageLimit returns the largest message, header included, that all streams take, in
// bytes; 0 where none of them bounds it. A stream whose bound is tiny is full: it
// refuses, and makes no dead letter of every event.
func messageLimit(streams []*jetstream.StreamConfig) int {
	limit := 0
	for _, s := range streams {
		for _, size := range []int{int(s.MaxMsgSize), atLeastMinMessage(s.MaxBytes / 2)} {
			if size > 0 && (limit == 0 || size < limit) {
				limit = size
			}
		}
	}
	return limit
}

func atLeastMinMessage(bytes int64) int {
	if bytes <= 0 {
		return 0
	}
	return int(max(bytes, minMessage))
}
