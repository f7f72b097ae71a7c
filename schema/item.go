package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Item is one part of a delivery on its way to the store: an interaction that
// became an event, or something that could not.
type Item struct {
	// Event is what to store; nil where Rejection says why there is none.
	Event *Event
	// Undated reports that the platform sent no time: the event's is that of the receipt.
	Undated bool
	Route   Route
	// Rejection tells what to store instead of an event.
	Rejection Rejection
	// Body is the item as the platform sent it. It is kept where the item
	// becomes a dead letter, which an event does that is too large for the server.
	Body []byte
}

// Rejection is why, when and from where something came that is no event.
type Rejection struct {
	Reason     Reason
	Detail     string
	Platform   string
	ReceivedAt time.Time
}

// Message is an item in the form in which it is stored.
type Message struct {
	Subject     string
	ID          string // the Nats-Msg-Id
	ContentType string
	Data        []byte
	DeadLetter  Reason // empty for an event
}

// Message returns what to publish for the item below the subject root. limit is
// the size that the server takes, in bytes: an event over it becomes a dead
// letter, and a dead letter keeps what fits.
func (i *Item) Message(root string, limit int) (Message, error) {
	if i.Event == nil {
		return i.deadLetter(root, i.Rejection, limit)
	}
	data, err := i.Event.Encode()
	if err != nil {
		return Message{}, err
	}
	d := &i.Event.Data
	m := Message{
		Subject:     i.Route.Subject(root, d.Platform, d.Account.ID),
		ID:          i.Event.NatsMsgID(),
		ContentType: ContentType,
		Data:        data,
	}
	if m.Size() <= limit {
		return m, nil
	}
	return i.deadLetter(root, Rejection{
		Reason:     ReasonTooLarge,
		Detail:     tooLarge(m.Size(), limit),
		Platform:   d.Platform,
		ReceivedAt: d.ReceivedAt,
	}, limit)
}

func (i *Item) deadLetter(root string, r Rejection, limit int) (Message, error) {
	return deadLetter(r, i.Body).message(root, i.Body, limit)
}

// Shrink returns a message that was stored and whose [Message.Size] is over the
// limit of other servers, in bytes, in a form that those take: an event becomes a
// dead letter that holds the event, and a dead letter keeps what fits. root is
// the subject root of m. The error says that m is not what [Item.Message] returned.
func (m Message) Shrink(root string, limit int) (Message, error) {
	if m.DeadLetter != "" {
		return m.cut(root, limit)
	}
	var e Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return m, fmt.Errorf("message %s of %d bytes is over the limit of %d, and is no event: %w", m.ID, m.Size(), limit, err)
	}
	// Any JSON object can be read as an event. The subject of the dead letter is made
	// from this one's platform.
	if e.Data.Platform == "" || !strings.HasPrefix(m.Subject, root+"."+e.Data.Platform+".") {
		return m, fmt.Errorf("message %s of %d bytes is over the limit of %d, and is not an event of subject %s", m.ID, m.Size(), limit, m.Subject)
	}
	over := Item{Body: m.Data}
	return over.deadLetter(root, Rejection{
		Reason:     ReasonTooLarge,
		Detail:     tooLarge(m.Size(), limit),
		Platform:   e.Data.Platform,
		ReceivedAt: e.Data.ReceivedAt,
	}, limit)
}

// cut makes a dead letter shorter. It stays the same one: length and hash are
// those of the body that came.
func (m Message) cut(root string, limit int) (Message, error) {
	var d DeadLetter
	err := json.Unmarshal(m.Data, &d)
	if err != nil {
		return m, fmt.Errorf("message %s of %d bytes is over the limit of %d, and is no dead letter: %w", m.ID, m.Size(), limit, err)
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

// headerRoom is what a message's header block takes beside the id: the names of
// Nats-Msg-Id, Content-Type and traceparent, their other values, and line ends.
const headerRoom = 256

// Size is an upper bound of what the server counts against max_payload, in bytes:
// header and body together.
func (m *Message) Size() int { return headerRoom + len(m.ID) + len(m.Data) }

func tooLarge(size, limit int) string {
	return fmt.Sprintf("the event takes %d bytes with its header; %d is the most that is taken: the NATS server's max_payload, or a stream's max_msg_size or half of its max_bytes", size, limit)
}

// Outcome is what became of an item.
type Outcome string

// The outcomes that a store reports.
const (
	Stored    Outcome = "stored"    // the event is stored now
	Duplicate Outcome = "duplicate" // the event was stored already
	Rejected  Outcome = "rejected"  // a dead letter is stored (now or already)
	Failed    Outcome = "failed"    // the store did not confirm: deliver again
)
