package monitor

import (
	"context"

	"github.com/postback-gateway/gateway/publish/stream"
)

// HeldFrom returns the first sequence that the retention does not purge.
func (m *Monitor) HeldFrom(ctx context.Context) (uint64, error) {
	s, err := m.eventStream(ctx)
	if err != nil {
		return 0, err
	}
	consumers, err := s.consumers(ctx)
	return s.slowest(consumers).First, err
}

// DropOld purges what is too old now.
func (m *Monitor) DropOld(ctx context.Context) error { return m.retentions[stream.Events].dropOld(ctx) }

// Purges reports whether the gateway purges from the stream.
func (m *Monitor) Purges() bool { return len(m.retentions) > 0 }

// Sample updates all metrics now.
func (m *Monitor) Sample(ctx context.Context) error {
	if _, err := m.Refresh(ctx); err != nil {
		return err
	}
	if err := m.sampleConsumers(ctx); err != nil || m.cfg.Servers == nil {
		return err
	}
	return m.sampleGivenUp(ctx)
}
