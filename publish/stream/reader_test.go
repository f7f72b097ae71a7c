package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// openLink connects to a server with the stream POSTBACKS.
func openLink(t *testing.T) *natsconn.Link {
	t.Helper()
	server, err := embedded.Start(embedded.Config{Dir: t.TempDir(), DontListen: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	link, err := natsconn.Dial(natsconn.Config{InProcess: server}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.NC.Close)
	s := New(Settings{Root: "postback.v1", Stream: "POSTBACKS", Replicas: 1, DuplicateWindow: time.Minute}, "the server", slog.New(slog.DiscardHandler))
	if err := s.Setup(t.Context(), link); err != nil {
		t.Fatal(err)
	}
	return link
}

func publish(t *testing.T, link *natsconn.Link, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		if _, err := link.JS.Publish(t.Context(), "postback.v1."+subject, []byte(subject)); err != nil {
			t.Fatal(err)
		}
	}
}

// status publishes a message that the client takes for a status of the server.
func status(t *testing.T, link *natsconn.Link, subject, code, description string) {
	t.Helper()
	m := nats.NewMsg("postback.v1." + subject)
	m.Header.Set("Status", code)
	m.Header.Set("Description", description)
	if _, err := link.JS.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, link *natsconn.Link, cfg ReaderConfig) *Reader {
	t.Helper()
	cfg.Stream = "POSTBACKS"
	r, err := Open(t.Context(), link, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// readAll reads n messages, or all with n of 0.
func readAll(t *testing.T, r *Reader, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	var all []string
	for n == 0 || len(all) < n {
		m, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %v: %v", all, err)
		}
		all = append(all, strings.TrimPrefix(m.Subject, "postback.v1."))
	}
	return strings.Join(all, " ")
}

func TestReaderStarts(t *testing.T) {
	link := openLink(t)
	publish(t, link, "a", "b", "a", "c")
	middle := time.Now()
	publish(t, link, "b", "d")
	for _, tt := range []struct {
		name string
		cfg  ReaderConfig
		want string
	}{
		{"everything", ReaderConfig{}, "a b a c b d"},
		{"a sequence", ReaderConfig{Sequence: 4}, "c b d"},
		{"a time", ReaderConfig{Since: middle}, "b d"},
		{"new", ReaderConfig{New: true}, ""},
		{"a filter", ReaderConfig{Filters: []string{"postback.v1.b"}}, "b b"},
		{"two filters", ReaderConfig{Filters: []string{"postback.v1.b", "postback.v1.d"}}, "b b d"},
		{"the last of each subject", ReaderConfig{LastPerSubject: true, HeadersOnly: true, Filters: []string{"postback.v1.>"}}, "a c b d"},
	} {
		if got := readAll(t, open(t, link, tt.cfg), 0); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := open(t, link, ReaderConfig{Sequence: 4}).Pending(); got != 3 {
		t.Errorf("%d are pending", got)
	}
}

// TestReaderPassesStatus: the client swallows a stored message that looks like a status,
// or ends with it. The Reader does neither.
func TestReaderPassesStatus(t *testing.T) {
	for _, code := range []string{"404", "408", "100", "409 Consumer Deleted", "409 Batch Completed"} {
		code, description, _ := strings.Cut(code, " ")
		for _, follow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s, follow %t", code, description, follow), func(t *testing.T) {
				link := openLink(t)
				publish(t, link, "a", "b")
				status(t, link, "x", code, description)
				status(t, link, "y", code, description)
				publish(t, link, "c")
				r := open(t, link, ReaderConfig{Follow: follow})
				n := 0
				if follow {
					n = 5
				}
				if got := readAll(t, r, n); got != "a b x y c" {
					t.Errorf("read %s", got)
				}
				if follow {
					publish(t, link, "new")
					if got := readAll(t, r, 1); got != "new" {
						t.Errorf("then %s", got)
					}
				}
			})
		}
	}
}

// TestReaderOfSharedConsumer: what is sent again may have been taken by another
// gateway, which is gone. Where nobody else should have taken anything, something is
// missing, and the reader does not go on behind it.
func TestReaderOfSharedConsumer(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		link := openLink(t)
		publish(t, link, "a", "b", "c")
		cfg := jetstream.ConsumerConfig{Durable: "shared", AckWait: 200 * time.Millisecond}
		if exclusive {
			cfg.AckWait = time.Hour // what another one has taken is not sent again before d is
		}
		c, err := link.JS.CreateConsumer(t.Context(), "POSTBACKS", cfg)
		if err != nil {
			t.Fatal(err)
		}
		if !exclusive {
			take(t, c, 3) // another one, which takes them and dies
		}
		r := open(t, link, ReaderConfig{Durable: cfg, Exclusive: exclusive})
		if exclusive {
			take(t, c, 3)
		}
		publish(t, link, "d")
		taken := map[uint64]bool{}
		ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
		defer cancel()
		for len(taken) < 4 {
			batch, err := r.NextBatch(ctx)
			if err != nil {
				if !exclusive || !strings.Contains(err.Error(), "message 4 was delivered and message 1 was expected") {
					t.Errorf("exclusive %v: %v", exclusive, err)
				}
				break
			}
			for _, m := range batch {
				taken[m.Sequence] = true
			}
		}
		if all := len(taken) == 4; all == exclusive {
			t.Errorf("exclusive %v: took %v", exclusive, taken)
		}
	}
}

// TestNextBatchFails: with an error there is no message, also where reading cannot begin.
func TestNextBatchFails(t *testing.T) {
	link := openLink(t)
	r := open(t, link, ReaderConfig{Durable: jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy}})
	link.NC.Close()
	if batch, err := r.NextBatch(t.Context()); err == nil || len(batch) > 0 {
		t.Errorf("%d messages, %v", len(batch), err)
	}
}

// take returns when n messages have come, and acknowledges none.
func take(t *testing.T, c jetstream.Consumer, n int) {
	t.Helper()
	batch, err := c.Fetch(n, jetstream.FetchMaxWait(natstest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for range batch.Messages() {
		got++
	}
	if got != n {
		t.Fatalf("took %d messages of %d: %v", got, n, batch.Error())
	}
}

// TestReaderSeesGaps: what the server has sent and the client has not got, as when a
// connection was lost, is read nevertheless. Here another client takes it.
func TestReaderSeesGaps(t *testing.T) {
	const n, taken = 1200, 100 // the client asks for 500 at a time
	link := openLink(t)
	for range n {
		publish(t, link, "x")
	}
	s, err := link.JS.Stream(t.Context(), "POSTBACKS")
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, link, ReaderConfig{Filters: []string{"postback.v1.>"}, Inspects: "test"})
	var sequences []uint64
	for {
		m, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if sequences = append(sequences, m.Sequence); len(sequences) > 1 {
			continue
		}
		var name string
		for info := range s.ListConsumers(t.Context()).Info() {
			if info.Config.Metadata[InspectMetadata] == "test" {
				name = info.Name
			}
		}
		consumer, err := s.Consumer(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		take(t, consumer, taken)
	}
	if !slices.IsSorted(sequences) || len(slices.Compact(sequences)) != n {
		t.Errorf("read %d messages of %d", len(sequences), n)
	}
}
