package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Item is one part of a delivery on its way to the store: an event, or a dead letter.
type Item struct {
	// Event is nil for a dead letter.
	Event *Event
	// Undated reports that the platform sent no time: the event's is that of the receipt.
	Undated bool
	Route   Route
	// Rejection describes a dead letter.
	Rejection Rejection
	// Delivery is set for a whole delivery, which is neither an event nor a dead letter.
	Delivery *Delivery
	// Body is the item as the platform sent it, for the dead letter. An event that is too
	// large for the server becomes one too.
	Body []byte
	// Origin is where Body was, for the dead letter; nil if Body is a whole delivery.
	Origin Origin
}

// Rejection says why an item is not an event, when it was received, and from where.
type Rejection struct {
	Reason     Reason
	Detail     string
	Platform   string
	ReceivedAt time.Time
}

// Message is an item as it is stored.
type Message struct {
	Subject     string
	ID          string // the Nats-Msg-Id
	ContentType string
	Data        []byte
	DeadLetter  Reason // empty for an event
	// Header has further headers; nil for events and dead letters.
	Header map[string][]string
}

// Message returns the message to publish for the item, on one of the gateway's subjects.
// limit is the largest message that the server accepts, in bytes. An event over it becomes
// a dead letter, and a dead letter keeps as much of the body as fits.
func (i *Item) Message(s Subjects, limit int) (Message, error) {
	return i.MessageIn(make([]byte, 0, usualSize), s, limit)
}

// MessageIn is [Item.Message], and appends the data of an event to room, which is empty.
func (i *Item) MessageIn(room []byte, s Subjects, limit int) (Message, error) {
	switch {
	case i.Delivery != nil:
		return i.delivery(s.Root, limit)
	case i.Event == nil:
		return i.deadLetter(s.Root, i.Rejection, limit)
	}
	data, err := i.Event.appendTo(room)
	if err != nil {
		return Message{}, err
	}
	d := &i.Event.Data
	m := Message{
		Subject:     i.subject(s),
		ID:          i.Event.NatsMsgID(),
		ContentType: ContentType,
		Data:        data,
	}
	if m.Size() <= limit {
		return m, nil
	}
	return i.deadLetter(s.Root, Rejection{
		Reason:     ReasonTooLarge,
		Detail:     tooLargeDetail(m.Size(), limit),
		Platform:   d.Platform,
		ReceivedAt: d.ReceivedAt,
	}, limit)
}

// delivery returns a dead letter if a delivery is too large even when it is compressed.
func (i *Item) delivery(root string, limit int) (Message, error) {
	d := i.Delivery
	m, err := d.message(root, limit)
	if err != nil || m.Size() <= limit {
		return m, err
	}
	return deadLetter(Rejection{
		Reason:     ReasonTooLarge,
		Detail:     "not forwarded: " + tooLargeDetail(m.Size(), limit),
		Platform:   d.Webhook,
		ReceivedAt: d.ReceivedAt,
	}, d, d.Body).message(root, d.Body, limit)
}

func (i *Item) deadLetter(root string, r Rejection, limit int) (Message, error) {
	return deadLetter(r, i.Origin, i.Body).message(root, i.Body, limit)
}

// Shrink returns a stored message in a form that fits another server's limit, which
// [Message.Size] exceeds. An event becomes a dead letter that contains the event. A dead
// letter keeps as much of the body as fits. root is the subject root of m. The error says
// that [Item.Message] has not returned m.
func (m Message) Shrink(root string, limit int) (Message, error) {
	if m.DeadLetter != "" {
		return m.shrinkDeadLetter(root, limit)
	}
	var e Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return m, fmt.Errorf("message %s of %d bytes is over the limit of %d, and is not an event: %w", m.ID, m.Size(), limit, err)
	}
	// Any JSON object decodes as an event. The subject shows whether it is one.
	if e.Data.Platform == "" || !strings.HasPrefix(strings.TrimPrefix(m.Subject, OtherRoot), root+"."+e.Data.Platform+".") {
		return m, fmt.Errorf("message %s of %d bytes is over the limit of %d, and is not an event of subject %s", m.ID, m.Size(), limit, m.Subject)
	}
	over := Item{Body: m.Data}
	return over.deadLetter(root, Rejection{
		Reason:     ReasonTooLarge,
		Detail:     tooLargeDetail(m.Size(), limit),
		Platform:   e.Data.Platform,
		ReceivedAt: e.Data.ReceivedAt,
	}, limit)
}

// shrinkDeadLetter keeps id, length and hash, which are those of the original body.
func (m Message) shrinkDeadLetter(root string, limit int) (Message, error) {
	var d DeadLetter
	err := json.Unmarshal(m.Data, &d)
	if err != nil {
		return m, fmt.Errorf("message %s of %d bytes is over the limit of %d, and is not a dead letter: %w", m.ID, m.Size(), limit, err)
	}
	if d.Subject(root) != m.Subject {
		return m, fmt.Errorf("message %s of %d bytes is over the limit of %d, and is not a dead letter of subject %s", m.ID, m.Size(), limit, m.Subject)
	}
	body, err := d.Bytes()
	if err != nil {
		return m, fmt.Errorf("dead letter %s: %w", m.ID, err)
	}
	return d.message(root, body, limit)
}

// headerRoom is the size of a message's header block without the id: the names of
// Nats-Msg-Id, Content-Type and traceparent, the other values, and line ends.
const headerRoom = 256

// Size returns an upper bound of what the server compares with max_payload, in bytes:
// header and body.
func (m *Message) Size() int {
	size := headerRoom + len(m.ID) + len(m.Data)
	for name, values := range m.Header {
		for _, value := range values {
			size += len(name) + len(": \r\n") + len(value)
		}
	}
	return size
}

func tooLargeDetail(size, limit int) string {
	return fmt.Sprintf("the event takes %d bytes with its header; %d is the most that is taken: the NATS server's max_payload, or a stream's max_msg_size or half of its max_bytes", size, limit)
}

// Outcome says what happened to an item.
type Outcome string

// The outcomes that a store reports.
const (
	Stored    Outcome = "stored"    // the event is new
	Duplicate Outcome = "duplicate" // the event had been stored before
	Rejected  Outcome = "rejected"  // a dead letter is stored, now or before
	Failed    Outcome = "failed"    // the store did not confirm: deliver again
)
