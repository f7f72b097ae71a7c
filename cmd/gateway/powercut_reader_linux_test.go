package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// cutReader is a service that acknowledges whatever it gets, so that the gateway may
// purge it. It remembers over cuts what it has got.
type cutReader struct {
	mu   sync.Mutex
	seen map[string]map[uint64]bool // sequences of each event's id
}

// readAhead keeps a window of the largest events well below what the server lets a slow
// connection fall behind.
const readAhead = 64

// read continues as the service does when it starts: it creates its consumer. It
// returns when that is there, and reads until the server has been gone for some seconds:
// the embedded one may start again in its place.
func (r *cutReader) read(t *testing.T, url string) {
	t.Helper()
	js := natstest.JetStream(t, url, nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(200), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {
		// The power is gone; else the client would print this.
	}))
	var consumer jetstream.Consumer
	natstest.Eventually(t, "the consumer", func() (ok bool) {
		var err error
		consumer, err = js.CreateOrUpdateConsumer(t.Context(), "POSTBACKS", jetstream.ConsumerConfig{Durable: "reader", AckWait: time.Second})
		return err == nil
	})
	_, err := consumer.Consume(func(m jetstream.Msg) {
		r.note(m)
		_ = m.Ack() // the power may be gone
	}, jetstream.PullMaxMessages(readAhead))
	if err != nil {
		t.Fatal(err)
	}
}

func (r *cutReader) note(m jetstream.Msg) {
	var e struct{ ID string }
	meta, err := m.Metadata()
	if err != nil || json.Unmarshal(m.Data(), &e) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]map[uint64]bool{}
	}
	if r.seen[e.ID] == nil {
		r.seen[e.ID] = map[uint64]bool{}
	}
	r.seen[e.ID][meta.Sequence.Stream] = true
}

func (r *cutReader) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen[id]) > 0
}

// doubled is how many events a stream that loses nothing holds more than once.
func (r *cutReader) doubled() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, sequences := range r.seen {
		n += len(sequences) - 1
	}
	return n
}

// follow returns when the consumer and the relay have got everything that was answered
// 200 and is not lost. Each of them may get it twice; the cluster keeps it once.
func (s *cutSeries) follow() {
	s.t.Helper()
	if aside, err := filepath.Glob(filepath.Join(s.disk.Dir(), "data/nats/jetstream/*/streams/*/corrupt/*")); err != nil {
		s.t.Fatal(err)
	} else if len(aside) > s.aside {
		s.t.Logf("cut %d left corrupt metadata: %v", s.cuts, aside[s.aside:])
		s.aside = len(aside)
		s.corrupt++
	}
	defer s.explain()
	s.reader.read(s.t, s.p.at.NATS)
	if s.moved == nil {
		s.moved = &cutReader{}
		s.moved.read(s.t, s.cluster.URL())
	}
	for _, d := range s.kept[s.followed:] {
		for _, id := range d.ids {
			natstest.Eventually(s.t, id+" at the consumer", func() bool { return s.reader.has(id) })
			natstest.Eventually(s.t, id+" in the cluster", func() bool { return s.moved.has(id) })
		}
	}
	s.followed = len(s.kept)
	if n := s.moved.doubled(); n > 0 {
		s.doubled += n
		s.t.Errorf("the cluster has %d events twice", n)
	}
}

// explain logs what helps to understand that something does not arrive.
func (s *cutSeries) explain() {
	if !s.t.Failed() {
		return
	}
	_, text := s.p.get(s.p.at.Admin + "/readyz")
	s.t.Logf("readyz: %s", text)
	for name, url := range map[string]string{"gateway": s.p.at.NATS, "cluster": s.cluster.URL()} {
		stream, err := natstest.JetStream(s.t, url).Stream(context.Background(), "POSTBACKS")
		if err != nil {
			s.t.Logf("%s: %v", name, err)
			continue
		}
		s.t.Logf("%s: %+v", name, stream.CachedInfo().State)
		for c := range stream.ListConsumers(context.Background()).Info() {
			s.t.Logf("%s: consumer %s delivered %+v, acknowledged %+v, %d+%d to acknowledge", name, c.Name, c.Delivered, c.AckFloor, c.NumPending, c.NumAckPending)
		}
	}
}
