package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// rawItem is one item of a delivery to Meta's webhook, not decoded yet: an item of one of
// an entry's lists. An entry without such a list is an item itself, and so is a delivery
// without entries.
type rawItem struct {
	object  string // of its delivery
	entryID string // of its entry: the id of the page or account
	list    string
	body    []byte // a part of the delivery's buffer
	fault   string // why body is malformed; else empty
	bare    bool   // body stands in the place of the list

	change *whatsappChange // that the item is in; nil for an item of an entry
	member string          // its list in the change
}

// The lists of an entry, and what stands in for them: the sample of the dashboard's Test
// button has no entry.
const (
	listMessaging = "messaging"
	listStandby   = "standby"
	listChanges   = "changes"
	listCalls     = "calls"
	listSample    = "sample"
	listEntry     = "entry"
	listDelivery  = "delivery"
	listName      = "name" // an object or id that is not a name
)

// channel follows from the list that the item was in.
func (item *rawItem) channel() schema.Channel {
	switch item.list {
	case listStandby:
		return schema.ChannelStandby
	case listSample:
		return schema.ChannelTest
	default:
		return schema.ChannelPrimary
	}
}

// envelope is a delivery to Meta's webhook, split into items that are not decoded yet.
type envelope struct {
	object string // "page", "instagram" …; empty for a sample
	items  []rawItem
}

// readEnvelopes walks once over a body: an object, or an array of them, as in the
// examples of Instagram's documents. The error means that the body is neither; nothing
// of it is used then.
func readEnvelopes(body []byte) ([]envelope, error) {
	w := newWalker(body)
	defer w.release()
	var err error
	switch w.dec.PeekKind() {
	case '{':
		err = w.envelope()
	case '[':
		err = w.array(w.envelope)
	default:
		_, err = w.value()
	}
	if err == nil {
		_, err = w.dec.ReadToken() // has to be the end
	}
	switch {
	case !errors.Is(err, io.EOF):
		return nil, describeSyntaxError(err)
	case !w.hasObject:
		return nil, errNotObject
	}
	return w.envelopes, nil
}

var errNotObject = errors.New("the body is JSON, but not an object")

// describeSyntaxError says where the body is not JSON. A nil error means that another
// value follows.
func describeSyntaxError(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON at byte %d: %w", syntax.ByteOffset, syntax.Err)
	}
	if err == nil {
		return errors.New("more than one JSON value")
	}
	return fmt.Errorf("not JSON: %w", err)
}

// walker reads a body token by token and cuts the items out of it without copying. release
// gives its decoder back.
type walker struct {
	*decoder
	body      []byte
	envelopes []envelope
	hasObject bool // there is at least one object
}

// decoder is reused. It reads a bytes.Buffer in place.
type decoder struct {
	dec    *jsontext.Decoder
	buffer bytes.Buffer
}

var decoders = sync.Pool{New: func() any { return &decoder{dec: new(jsontext.Decoder)} }}

func newWalker(body []byte) walker {
	d := decoders.Get().(*decoder)
	d.buffer = *bytes.NewBuffer(body)
	d.dec.Reset(&d.buffer, lenient...)
	return walker{decoder: d, body: body}
}

// release ends the use of the walker. What it has cut out stays valid.
func (w *walker) release() {
	if len(w.body) > firstRead { // else it may hold the body until it is used again
		w.buffer = bytes.Buffer{}
		w.dec.Reset(&w.buffer)
	}
	decoders.Put(w.decoder)
}

// usualItem is how many bytes a usual item has at least.
const usualItem = 256

// envelope reads one delivery.
func (w *walker) envelope() error {
	var e envelope
	if w.dec.PeekKind() != '{' {
		err := w.malformed(&e, listDelivery, "a delivery has to be an object")
		w.envelopes = append(w.envelopes, e)
		return err
	}
	w.hasObject = true
	if len(w.envelopes) == 0 { // nearly always the only one
		e.items = make([]rawItem, 0, 1+len(w.body)/usualItem)
	}
	start, list := w.nextOffset(), listDelivery
	err := w.object(func(name string) error {
		switch name {
		case "object":
			return w.id(&e, &e.object)
		case "entry":
			return w.list(&e, "entry", func() error { return w.entry(&e) })
		case "value":
			list = listSample
		}
		return w.dec.SkipValue()
	})
	if len(e.items) == 0 {
		e.items = append(e.items, rawItem{list: list, body: w.body[start:w.dec.InputOffset()]})
	}
	w.envelopes = append(w.envelopes, e)
	return err
}

// entry reads one entry. Its id can follow its lists. Some of Meta's documents have a
// change or a messaging item in the place of an entry.
func (w *walker) entry(e *envelope) error {
	if w.dec.PeekKind() != '{' {
		return w.malformed(e, listEntry, "an entry has to be an object")
	}
	first, id, start, itself := len(e.items), "", w.nextOffset(), listEntry
	err := w.object(func(name string) error {
		switch kind := w.dec.PeekKind(); {
		case name == "id":
			return w.id(e, &id)
		case name == listMessaging, name == listStandby, name == listChanges, name == listCalls && kind == '[':
			return w.list(e, name, func() error { return w.item(e, name) })
		case name == "field" && kind == '"':
			itself = listChanges
		case name == "sender" && kind == '{':
			itself = listMessaging
		}
		return w.dec.SkipValue()
	})
	if len(e.items) == first {
		e.items = append(e.items, rawItem{list: itself, body: w.body[start:w.dec.InputOffset()]})
	}
	for i := first; i < len(e.items); i++ {
		e.items[i].entryID = id
	}
	return err
}

func (w *walker) item(e *envelope, list string) error {
	if w.dec.PeekKind() != '{' {
		return w.malformed(e, list, "an item has to be an object")
	}
	body, err := w.value()
	e.items = append(e.items, rawItem{list: list, body: body})
	return err
}

// malformed reads a value of a wrong JSON type as an item with a fault.
func (w *walker) malformed(e *envelope, list, expected string) error {
	kind := kindName(w.dec.PeekKind())
	body, err := w.value()
	e.items = append(e.items, rawItem{list: list, body: body, fault: expected + ", this is a JSON " + kind})
	return err
}

// object calls member for every member of the next object. It has to read the value.
func (w *walker) object(member func(name string) error) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for w.dec.PeekKind() != '}' {
		name, err := w.name()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := w.dec.ReadToken()
	return err
}

// usualNames are the names in the envelopes of nearly all deliveries.
var usualNames = map[string]string{
	`"object"`: "object", `"entry"`: "entry", `"id"`: "id", `"time"`: "time",
	`"messaging"`: listMessaging, `"changes"`: listChanges, `"field"`: "field", `"value"`: "value",
}

// name reads the name of a member. It allocates nothing for a usual one.
func (w *walker) name() (string, error) {
	quoted, err := w.dec.ReadValue()
	if err != nil {
		return "", err
	}
	if name, usual := usualNames[string(quoted)]; usual {
		return name, nil
	}
	name, _ := jsontext.AppendUnquote(nil, quoted) // the error is about invalid UTF-8, which is replaced
	return string(name), nil
}

// array calls element for every element of the next array. It has to read the element.
func (w *walker) array(element func() error) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for w.dec.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := w.dec.ReadToken()
	return err
}

// list is [walker.array] that accepts null and reports other values as malformed.
func (w *walker) list(e *envelope, name string, element func() error) error {
	switch w.dec.PeekKind() {
	case '[':
		return w.array(element)
	case 'n':
		return w.dec.SkipValue()
	default:
		err := w.malformed(e, name, name+" has to be an array")
		e.items[len(e.items)-1].bare = true
		return err
	}
}

// id reads a string, or an id that was sent as a number.
func (w *walker) id(e *envelope, to *string) error {
	*to = "" // of an earlier member with the same name
	switch w.dec.PeekKind() {
	case '"', '0':
		sent, err := readString(w.dec)
		*to = sent
		return err
	case 'n':
		return w.dec.SkipValue()
	default:
		return w.malformed(e, listName, "object and id have to be strings")
	}
}

// value returns the next value as a part of the body.
func (w *walker) value() ([]byte, error) {
	value, err := w.dec.ReadValue()
	end := w.dec.InputOffset()
	return w.body[end-int64(len(value)) : end], err
}

// nextOffset returns where the next value starts; it has to be an object or array.
func (w *walker) nextOffset() int64 {
	at := w.dec.InputOffset()
	for w.body[at] != '{' && w.body[at] != '[' {
		at++ // white space, commas
	}
	return at
}
