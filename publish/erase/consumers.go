package erase

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// How long the gateway's own consumers may make no progress, how long nobody may read by
// one before it counts as left behind, and how often they are polled.
const (
	progressTimeout = 10 * time.Second
	unusedTime      = 2 * time.Second
	pollInterval    = 10 * time.Millisecond
)

// waitForConsumers waits until the relay and the fallback, if they read the stream, have
// moved everything up to a sequence. The server counts erased messages as acknowledged, so
// nobody could tell later what they have in memory.
func waitForConsumers(ctx context.Context, s jetstream.Stream, seq uint64) error {
	for _, name := range []string{stream.RelayConsumer, stream.FallbackConsumer} {
		consumer, err := s.Consumer(ctx, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := waitForAck(ctx, consumer, seq); err != nil {
			return fmt.Errorf("the gateway's consumer %s has not moved what was found: %w: run this again when it has (/readyz tells of the relay), "+
				"or delete the consumer where no gateway uses it any more", name, err)
		}
	}
	return nil
}

var errNoProgress = fmt.Errorf("no progress for %s", progressTimeout)

// waitForAck returns when the consumer has acknowledged everything up to seq, or when nobody
// reads by it who could have something in memory.
func waitForAck(ctx context.Context, consumer jetstream.Consumer, seq uint64) error {
	floor := uint64(0)
	progress, used := time.Now(), time.Now()
	for {
		info, err := consumer.Info(ctx)
		if err != nil || info.AckFloor.Stream >= seq {
			return err
		}
		if info.AckFloor.Stream > floor {
			floor, progress = info.AckFloor.Stream, time.Now()
		}
		if info.NumWaiting > 0 || info.NumAckPending > 0 {
			used = time.Now()
		}
		switch {
		case time.Since(used) > unusedTime:
			return nil
		case time.Since(progress) > progressTimeout:
			return errNoProgress
		}
		natsconn.Sleep(ctx, pollInterval)
	}
}
