//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

func TestLedger(t *testing.T) {
	const a, b, c, d = "m_00000000000000000000", "m_00000000000000000001", "m_00000000000000000002", "m_00000000000000000003"
	batches := []batch{
		{first: 0, events: 2, outcomes: []outcome{stored}},              // a and b
		{first: 2, events: 1, outcomes: []outcome{stored, refused}},     // c, and d without a 200
		{first: 4, events: 1, outcomes: []outcome{unanswered, refused}}, // were never stored
	}
	for _, test := range []struct {
		name   string
		ids    []string
		reason string // empty: all is well
	}{
		{"each once", []string{"messenger:1:" + c, a, b}, ""},
		{"a refused one was stored", []string{a, b, c, d}, ""},
		{"one is missing", []string{a, c}, "1 events were answered 200 and are not stored, 0 are stored more than once; the first is " + b + ", stored 0 times"},
		{"one is there twice", []string{a, b, b, c}, "0 events were answered 200 and are not stored, 1 are stored more than once; the first is " + b + ", stored 2 times"},
		{"a refused one is there twice", []string{a, b, c, d, d}, "stored more than once"},
		{"one was never sent", []string{a, b, c, "m_00000000000000000006"}, "never sent"},
		{"something else", []string{a, b, c, "hello"}, "never sent"},
	} {
		l := newLedger(batches...)
		for _, id := range test.ids {
			l.add(id)
		}
		err := l.check()
		if (err == nil) != (test.reason == "") || err != nil && !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.reason)
		}
	}
}

// startBare runs the bare handler and its server in this process.
func startBare(t *testing.T, mode string) (*bareHandler, *service) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))
	dir := t.TempDir()
	ns, err := startServer(address, dir, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := createBareStream(js); err != nil {
		t.Fatal(err)
	}
	h := &bareHandler{js: js}
	if mode == syncGroup {
		if h.sync, err = groupSync(dir); err != nil {
			t.Fatal(err)
		}
	}
	return h, &service{nats: "nats://" + address, stream: bareStream}
}

// TestReadBack: the bare handler stores what it answers 200 to in every mode, and an
// event that is gone from the stream is found out.
func TestReadBack(t *testing.T) {
	for _, mode := range []string{syncInterval, syncGroup, syncAlways} {
		handler, s := startBare(t, mode)
		l := newTestLoad(t, 4, handler.ServeHTTP)
		l.deliveries = newDeliveries(3, 2)
		got, err := l.run(30*ms, nil)
		if err != nil || got.stored == 0 || got.refused > 0 || got.lost > 0 {
			t.Fatalf("%s: %+v, %v", mode, got, err)
		}
		if err := s.readBack(t.Context(), l.batch()); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		deleteOne(t, handler.js)
		if err := s.readBack(t.Context(), l.batch()); err == nil || !strings.Contains(err.Error(), "1 events were answered 200 and are not stored") {
			t.Errorf("%s: with one event deleted: got %v", mode, err)
		}
	}
}

func deleteOne(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	stream, err := js.Stream(context.Background(), bareStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
}

func TestBareHandlerRefuses(t *testing.T) {
	handler, s := startBare(t, syncInterval)
	l := newTestLoad(t, 1, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Hub-Signature-256", "sha256=00")
		handler.ServeHTTP(w, r)
	})
	got, err := l.run(5*ms, nil)
	if err != nil || got.stored > 0 || got.refused == 0 {
		t.Errorf("with a wrong signature: %+v, %v", got, err)
	}
	if err := s.readBack(t.Context(), l.batch()); err != nil {
		t.Error(err)
	}
}
