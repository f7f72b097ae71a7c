package stream

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// FuzzUsualAck: what usualAck reads is what encoding/json reads.
func FuzzUsualAck(f *testing.F) {
	for _, text := range []string{
		`{"stream":"POSTBACKS","seq":17}`, `{"stream":"S","seq":1,"duplicate": true}`, `{"stream":"S","domain":"d","seq":1}`,
		`{"stream":"a\"b","seq":1}`, `{"stream":"","seq":1}`, `{"stream":"S","seq":}`, `{"stream":"S","seq":1}}`, `{"error":{"code":503}}`,
		`{"stream":"POSTBACKS","seq":1`, `{"stream":"POSTBACKS_OTHER","seq":1}`,
	} {
		f.Add(text, "POSTBACKS")
		f.Add(text, "S")
	}
	f.Fuzz(func(t *testing.T, text, stream string) {
		if strings.ContainsAny(stream, `"\`) || !utf8.ValidString(stream) {
			return // the check of the settings accepts no such name
		}
		sequence, found := usualAck([]byte(text), stream)
		if !found {
			return
		}
		var ack jetstream.PubAck
		if err := json.Unmarshal([]byte(text), &ack); err == nil && (ack.Stream != stream || ack.Duplicate || ack.Sequence != sequence) {
			t.Errorf("%s: taken for message %d of stream %q, encoding/json has %+v", text, sequence, stream, ack)
		}
	})
}

func TestUsualAck(t *testing.T) {
	if sequence, found := usualAck([]byte(`{"stream":"POSTBACKS","seq":17}`), "POSTBACKS"); !found || sequence != 17 {
		t.Errorf("got %d, %t", sequence, found)
	}
}

// respondWith has a subscriber answer what is published, and returns what ack reads.
func respondWith(t *testing.T, answer *nats.Msg) (jetstream.PubAck, error) {
	t.Helper()
	nc := natstest.JetStream(t, natstest.Start(t, "").URL()).Conn()
	if answer != nil {
		if _, err := nc.Subscribe("s", func(m *nats.Msg) { _ = m.RespondMsg(answer) }); err != nil {
			t.Fatal(err)
		}
	}
	a, err := newAcks(nc)
	if err != nil {
		t.Fatal(err)
	}
	responses := make(chan response, 1)
	if _, err := a.publish(nats.NewMsg("s"), waiter{responses, 0}); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-responses:
		return r.ack()
	case <-time.After(natstest.Patience):
		t.Fatal("no response")
		panic("")
	}
}

func TestAcks(t *testing.T) {
	if _, err := respondWith(t, nil); !errors.Is(err, jetstream.ErrNoStreamResponse) {
		t.Errorf("without a stream: %v", err)
	}
	ack, err := respondWith(t, &nats.Msg{Data: []byte(`{"stream":"S","seq":1,"duplicate":true}`)})
	if err != nil || ack.Stream != "S" || !ack.Duplicate {
		t.Errorf("a duplicate: %+v, %v", ack, err)
	}
	if _, err = respondWith(t, &nats.Msg{Data: []byte(`{"error":{"code":503,"err_code":10077,"description":"full"}}`)}); errorCode(err) != errCodeStoreFailed {
		t.Errorf("a full stream: %v", err)
	}
	if _, err = respondWith(t, &nats.Msg{Data: []byte(`{}`)}); !errors.Is(err, jetstream.ErrInvalidJSAck) {
		t.Errorf("no acknowledgement: %v", err)
	}
}

// TestAcksOfALostConnection: nobody waits for a response that does not come.
func TestAcksOfALostConnection(t *testing.T) {
	server := natstest.Start(t, "")
	nc := natstest.JetStream(t, server.URL()).Conn()
	if _, err := nc.SubscribeSync("s"); err != nil { // and never responds
		t.Fatal(err)
	}
	a, err := newAcks(nc)
	if err != nil {
		t.Fatal(err)
	}
	responses := make(chan response, 1)
	if _, err := a.publish(nats.NewMsg("s"), waiter{responses, 0}); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	select {
	case r := <-responses:
		if _, err := r.ack(); !errors.Is(err, nats.ErrDisconnected) {
			t.Errorf("got %v", err)
		}
	case <-time.After(natstest.Patience):
		t.Fatal("no response")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) != 0 {
		t.Errorf("%d are waited for", len(a.waiting))
	}
}

// TestQueuedIsNotPublishedAgain: a server that needs longer for what came before than one
// attempt waits gets each message once.
func TestQueuedIsNotPublishedAgain(t *testing.T) {
	const messages, each, ackTimeout = 10, 600 * time.Millisecond, 5 * time.Second
	server := natstest.Start(t, "")
	nc := natstest.JetStream(t, server.URL()).Conn()
	published := make(chan *nats.Msg, 10*messages)
	if _, err := nc.ChanSubscribe("s", published); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	conn, err := natsconn.Connect(t.Context(), natsconn.Config{Servers: server.URL()}, natsconn.Options{Log: slog.New(slog.DiscardHandler), Use: "stored"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	sender := Sender{Conn: conn, AckTimeout: ackTimeout}
	entries := make([]Entry, messages)
	for i := range entries {
		entries[i] = Entry{Msg: nats.NewMsg("s"), Stream: "S", Outcome: schema.Failed}
	}
	sent := make(chan error, 1)
	go func() {
		sent <- sender.Send(t.Context(), entries, conn.Link, func(err error) error { return err })
	}()
	pace := time.NewTicker(each) // of the server
	defer pace.Stop()
	for range messages {
		<-pace.C
		if err := (<-published).Respond([]byte(`{"stream":"S","seq":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil || len(published) > 0 {
		t.Errorf("%v, and %d messages were published again", err, len(published))
	}
}
