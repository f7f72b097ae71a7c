package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// diskReserve is the free space, in bytes, below which the data directory counts
// as full: room for the server's own files and for what is being written.
const diskReserve = 64 << 20

// Ready returns nil only if an event can be stored now: the connection stands,
// the leaders of both streams answer, and there is room. The error says what is
// wrong and what to do, without credentials. ctx bounds it (5s without a
// deadline); of the past only that events were not acknowledged is remembered.
func (p *Publisher) Ready(ctx context.Context) error {
	if p.isClosing() {
		return errClosing
	}
	l, err := p.current()
	if err != nil {
		return err
	}
	if !p.online.Load() {
		return p.notConnected()
	}
	events, err := p.inspect(ctx, l, p.cfg.eventStream())
	if err == nil {
		_, err = p.inspect(ctx, l, p.cfg.deadLetterStreamConfig())
	}
	if errors.As(err, new(goneError)) {
		p.wake()
	}
	if err != nil {
		return err
	}
	if err := checkRoom(events, p.limit(l)); err != nil {
		if p.keeper != nil {
			return fmt.Errorf("%w (what cannot be purged: %s)", err, p.keeper.heldBy())
		}
		return err
	}
	return p.checkAnswers(ctx, l)
}

// checkRoom tells whether a stream that refuses at its limits takes two more
// messages of the largest size: several deliveries can be under way.
func checkRoom(info *jetstream.StreamInfo, message int) error {
	c, state := &info.Config, &info.State
	if c.Discard != jetstream.DiscardNew {
		return nil
	}
	if c.MaxMsgs > 0 && state.Msgs >= uint64(c.MaxMsgs) {
		return fmt.Errorf("stream %s is full: it holds %d of %d messages; consume and purge events, or raise its limit", c.Name, state.Msgs, c.MaxMsgs)
	}
	if c.MaxBytes <= 0 {
		return nil
	}
	// A small stream is not full from the beginning, but for one in which no message fits.
	reserve := max(min(2*uint64(message), uint64(c.MaxBytes)/20), minMessage)
	if state.Bytes+reserve > uint64(c.MaxBytes) {
		return fmt.Errorf("stream %s is full: it holds %d of %d bytes; consume and purge events, or raise its max_bytes (GATEWAY_STREAM_MAX_BYTES is for a new stream)", c.Name, state.Bytes, c.MaxBytes)
	}
	return nil
}

func (p *Publisher) checkDisk() error {
	if p.cfg.DataDir == "" {
		return nil
	}
	free, err := freeSpace(p.cfg.DataDir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", p.cfg.DataDir, err)
	}
	return checkFree(p.cfg.DataDir, free)
}

func checkFree(dir string, free uint64) error {
	if free < diskReserve {
		return fmt.Errorf("the disk of the data directory %s is full: %d MiB are free, %d MiB are kept in reserve; free some space", dir, free>>20, diskReserve>>20)
	}
	return nil
}
