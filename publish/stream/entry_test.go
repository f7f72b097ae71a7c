package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

func TestCheckRoom(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name   string
		config jetstream.StreamConfig
		state  jetstream.StreamState
		full   bool
	}{
		{"unbounded", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: -1}, jetstream.StreamState{Bytes: 1 << 40}, false},
		{"two messages fit", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: 100 * mib}, jetstream.StreamState{Bytes: 98 * mib}, false},
		{"fewer fit", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: 100 * mib}, jetstream.StreamState{Bytes: 98*mib + 1}, true},
		{"small and empty", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: mib}, jetstream.StreamState{}, false},
		{"smaller than a message", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxBytes: 10}, jetstream.StreamState{}, true},
		{"drops old ones", jetstream.StreamConfig{Discard: jetstream.DiscardOld, MaxBytes: mib}, jetstream.StreamState{Bytes: mib}, false},
		{"count", jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxMsgs: 5}, jetstream.StreamState{Msgs: 5}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CheckRoom(&jetstream.StreamInfo{Config: tt.config, State: tt.state}, mib); (err != nil) != tt.full {
				t.Errorf("%v", err)
			}
		})
	}
}

// A message whose first attempt got no answer may have been stored by it: the
// duplicate that the second attempt is told of is its own.
func TestDuplicateOfAnOwnAttemptIsStored(t *testing.T) {
	m := Entry{Stream: "S", Outcome: schema.Failed}
	if err := m.failed(jetstream.ErrAsyncPublishTimeout); err == nil || IsFinal(err) {
		t.Fatalf("timeout: %v", err)
	}
	if err := m.acknowledged(&jetstream.PubAck{Stream: "S", Duplicate: true}); err != nil || m.Outcome != schema.Stored {
		t.Errorf("%s, %v", m.Outcome, err)
	}
	m = Entry{Stream: "S", Outcome: schema.Failed}
	if err := m.failed(&jetstream.APIError{Code: 409, ErrorCode: errCodeInProcess}); err == nil || IsFinal(err) {
		t.Fatalf("in process: %v", err)
	}
	if err := m.acknowledged(&jetstream.PubAck{Stream: "S", Duplicate: true}); err != nil || m.Outcome != schema.Duplicate {
		t.Errorf("%s, %v", m.Outcome, err)
	}
}

const callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// TestTraceOfWhatIsMadeSmaller: an event that is too large for the servers that it
// is relayed to keeps its trace as a dead letter there.
func TestTraceOfWhatIsMadeSmaller(t *testing.T) {
	cfg := Settings{Root: "postback.v1", Stream: "POSTBACKS"}
	item := clickOf(t, strings.Repeat("x", 4000))
	encoded, err := item.Message(cfg.EventSubjects(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var m Entry
	cfg.Fill(&m, &encoded)
	m.Msg.Header["traceparent"] = []string{"00-" + callersTrace + "-00f067aa0ba902b7-01"}
	m.Msg.Header["tracestate"] = []string{"a=" + strings.Repeat("x", MaxTraceState-2)}
	const limit = 3000
	if err := m.Fit(&cfg, limit); err != nil {
		t.Fatal(err)
	}
	if size := headerSize(m.Msg.Header) + len(m.Msg.Data); size > limit {
		t.Errorf("%d bytes, expected at most %d", size, limit)
	}
	if h := m.Msg.Header; h.Get("traceparent") != "00-"+callersTrace+"-00f067aa0ba902b7-01" || len(h.Get("tracestate")) != MaxTraceState ||
		!strings.HasPrefix(h.Get(jetstream.MsgIDHeader), "deadletter:messenger:too_large:") {
		t.Errorf("header %v", h)
	}
}

// headerSize is the size of a header block, in bytes.
func headerSize(h nats.Header) int {
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return size
}

// clickOf returns an item with an event.
func clickOf(t *testing.T, payload string) schema.Item {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p, route := schema.ParsePayload(payload)
	event, err := schema.New("m", now, schema.Data{
		Platform: schema.Messenger, Account: schema.Account{ID: "PAGE"}, User: schema.User{ID: "USER"},
		Kind: schema.KindButton, Channel: schema.ChannelPrimary, Payload: &p, ReceivedAt: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return schema.Item{Event: event, Route: route, Body: []byte("{}")}
}
