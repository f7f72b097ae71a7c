package stream

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// acks receives the acknowledgements of all messages that are published on one
// connection, by one subscription. The client's own asynchronous publishing has two
// channels and a timer for each message. It is safe for concurrent use.
type acks struct {
	nc     *nats.Conn
	prefix string // of the reply subjects, before the number of the message

	mu          sync.Mutex
	last        uint64
	waiting     map[uint64]waiter
	responded   uint64 // the highest number with a response
	respondedAt time.Time
}

// waiter is who waits for the response to one message. The channel has room for it.
type waiter struct {
	responses chan<- response
	entry     int
}

// response is a message of the server, or the error that there will be none.
type response struct {
	entry int
	msg   *nats.Msg
	err   error
}

func newAcks(nc *nats.Conn) (*acks, error) {
	a := &acks{nc: nc, prefix: nc.NewInbox() + ".", waiting: make(map[uint64]waiter)}
	if _, err := nc.Subscribe(a.prefix+"*", a.receive); err != nil {
		return nil, err
	}
	go a.watch(nc.StatusChanged(nats.RECONNECTING, nats.CLOSED))
	return a, nil
}

// watch ends when the connection is closed for good. The response to what was published
// on a connection that is lost does not come on the next one.
func (a *acks) watch(changes <-chan nats.Status) {
	for status := range changes {
		a.mu.Lock()
		for number, w := range a.waiting {
			w.responses <- response{entry: w.entry, err: nats.ErrDisconnected}
			delete(a.waiting, number)
		}
		a.mu.Unlock()
		if status == nats.CLOSED {
			return
		}
	}
}

// publish sends a message and returns its number, which is 0 with an error.
func (a *acks) publish(m *nats.Msg, w waiter) (uint64, error) {
	a.mu.Lock()
	a.last++
	number := a.last
	a.waiting[number] = w
	a.mu.Unlock()
	m.Reply = string(strconv.AppendUint(append(make([]byte, 0, 64), a.prefix...), number, 36))
	if err := a.nc.PublishMsg(m); err != nil {
		a.take(number)
		return 0, publishError(err)
	}
	return number, nil
}

// take returns who waits for a response, once.
func (a *acks) take(number uint64) (waiter, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, found := a.waiting[number]
	delete(a.waiting, number)
	return w, found
}

func (a *acks) receive(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, a.prefix), 36, 64)
	if err != nil {
		return // nobody else knows the subjects
	}
	w, found := a.take(number)
	a.mu.Lock()
	a.responded, a.respondedAt = max(a.responded, number), time.Now()
	a.mu.Unlock()
	if found {
		w.responses <- response{entry: w.entry, msg: m}
	}
}

// queued reports whether a message only waits for the server to work on those before
// it: responses to earlier ones have come lately, and none to a later one. Publishing it
// again would only make the queue longer.
func (a *acks) queued(number uint64, lately time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return number > a.responded && time.Since(a.respondedAt) < lately
}

// noResponders is the status with which the server says that no stream has the subject.
const noResponders = "503"

// ack reads the response of the server.
func (r *response) ack() (jetstream.PubAck, error) {
	if r.err != nil {
		return jetstream.PubAck{}, r.err
	}
	if len(r.msg.Data) == 0 && r.msg.Header.Get(statusHeader) == noResponders {
		return jetstream.PubAck{}, jetstream.ErrNoStreamResponse
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		jetstream.PubAck
	}
	switch err := json.Unmarshal(r.msg.Data, &answer); {
	case err != nil, answer.Error == nil && answer.Stream == "":
		return jetstream.PubAck{}, jetstream.ErrInvalidJSAck
	case answer.Error != nil:
		return jetstream.PubAck{}, answer.Error
	default:
		return answer.PubAck, nil
	}
}

// usualAck reports whether text is {"stream":"NAME","seq":NUMBER} with the stream's name,
// as servers write it. It saves most of the time of json.Unmarshal.
func usualAck(text []byte, stream string) bool {
	rest, found := bytes.CutPrefix(text, []byte(`{"stream":"`))
	if !found || len(rest) < len(stream) || string(rest[:len(stream)]) != stream {
		return false
	}
	digits, found := bytes.CutPrefix(rest[len(stream):], []byte(`","seq":`))
	digits, closed := bytes.CutSuffix(digits, []byte("}"))
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return found && closed && len(digits) > 0
}
