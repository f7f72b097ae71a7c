package ingest

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// slotWait is how long a delivery waits for a slot before it is rejected. A burst
	// passes in that time, and no platform gives up so soon.
	slotWait = 400 * time.Millisecond
	// maxWaiting is how many deliveries wait for a slot at most. Each of them holds its
	// body. A caller that waits sends nothing else meanwhile, so it should be more than
	// there are connections: what is rejected at once is soon sent again.
	maxWaiting = 8192
)

// slots limit how many deliveries are processed at once. Deliveries get them in the
// order in which they came. It is safe for concurrent use.
type slots struct {
	used    chan struct{} // one for each delivery in flight
	waiting chan struct{} // one for each delivery that waits

	usedGauge, waitingGauge prometheus.Gauge
	waited                  prometheus.Histogram
}

func newSlots(n int, m *metrics) *slots {
	return &slots{
		used: make(chan struct{}, n), waiting: make(chan struct{}, maxWaiting),
		usedGauge: m.inFlight, waitingGauge: m.slotWaiting, waited: m.slotWait,
	}
}

// take occupies a slot until release is called, or returns errBusy.
func (s *slots) take() error {
	select {
	case s.used <- struct{}{}:
	default:
		if err := s.wait(); err != nil {
			return err
		}
	}
	s.usedGauge.Inc()
	return nil
}

func (s *slots) wait() error {
	select {
	case s.waiting <- struct{}{}:
	default:
		return errBusy
	}
	s.waitingGauge.Inc()
	start := time.Now()
	timeout := time.NewTimer(slotWait)
	defer func() {
		timeout.Stop()
		s.waited.Observe(time.Since(start).Seconds())
		s.waitingGauge.Dec()
		<-s.waiting
	}()
	select {
	case s.used <- struct{}{}:
		return nil
	case <-timeout.C:
		return errBusy
	}
}

func (s *slots) release() {
	s.usedGauge.Dec()
	<-s.used
}
