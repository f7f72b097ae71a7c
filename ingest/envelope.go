package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// element is one entry of a list in a delivery of Meta: an item of
// entry[].messaging or entry[].standby, or a change of entry[].changes.
type element struct {
	entryID string // of the entry that it stands in; the page's or account's id
	list    string
	body    []byte // a part of the delivery's buffer
	fault   string // why body is not what should stand there; else empty
}

// The lists of an entry that can hold interactions, and the bare form of the
// dashboard's Test button.
const (
	listMessaging = "messaging"
	listStandby   = "standby"
	listChanges   = "changes"
	listBare      = "bare"
)

// envelope is a delivery of Meta with its elements found and not yet looked into.
type envelope struct {
	object   string // "page", "instagram" …; empty in the bare form of the Test button
	elements []element
	others   int // well-formed parts that hold no element
}

// lenient reads what is wrong inside one element without giving up the others:
// the strictness that an event needs is applied to each element on its own.
// Duplicate names are allowed because RFC 8259 allows them; see lastMembers.
var lenient = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

// readEnvelopes walks once over a body: an object, or an array of them (so come
// the examples in Instagram's documents). The error means that the body is
// neither; nothing of it is used then.
func readEnvelopes(body []byte) ([]envelope, error) {
	// From a bytes.Buffer the decoder reads in place.
	w := walker{body: body, dec: jsontext.NewDecoder(bytes.NewBuffer(body), lenient...)}
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
		_, err = w.dec.ReadToken() // nothing may follow
	}
	switch {
	case !errors.Is(err, io.EOF):
		return nil, syntaxFault(err)
	case !w.isDelivery:
		return nil, errors.New("the body is JSON, but no object")
	}
	return w.envelopes, nil
}

// syntaxFault says where the body stops to be JSON.
func syntaxFault(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON at byte %d: %w", syntax.ByteOffset, syntax.Err)
	}
	if err == nil {
		return errors.New("more than one JSON value")
	}
	return fmt.Errorf("not JSON: %w", err)
}

// walker reads a body token by token and cuts the elements out of it uncopied.
type walker struct {
	body       []byte
	dec        *jsontext.Decoder
	envelopes  []envelope
	isDelivery bool // there is at least one object
}

// envelope reads one delivery.
func (w *walker) envelope() error {
	var e envelope
	if w.dec.PeekKind() != '{' {
		err := w.fault(&e, "", "a delivery has to be an object")
		w.envelopes = append(w.envelopes, e)
		return err
	}
	w.isDelivery = true
	start, isBare := w.next(), false
	err := w.object(func(name string) error {
		switch name {
		case "object":
			return w.text(&e, &e.object)
		case "entry":
			return w.list(&e, "entry", func() error { return w.entry(&e) })
		case "value":
			isBare = true
		}
		return w.dec.SkipValue()
	})
	if isBare && e.isEmpty() {
		e.elements = append(e.elements, element{list: listBare, body: w.body[start:w.dec.InputOffset()]})
	}
	if e.isEmpty() {
		e.others++
	}
	w.envelopes = append(w.envelopes, e)
	return err
}

func (e *envelope) isEmpty() bool { return len(e.elements) == 0 && e.others == 0 }

// entry reads one entry. Its id can stand behind its lists.
func (w *walker) entry(e *envelope) error {
	if w.dec.PeekKind() != '{' {
		return w.fault(e, "entry", "an entry has to be an object")
	}
	first, id := len(e.elements), ""
	err := w.object(func(name string) error {
		switch name {
		case "id":
			return w.text(e, &id)
		case listMessaging, listStandby, listChanges:
			return w.list(e, name, func() error { return w.element(e, name) })
		}
		return w.dec.SkipValue()
	})
	for i := first; i < len(e.elements); i++ {
		e.elements[i].entryID = id
	}
	if len(e.elements) == first {
		e.others++
	}
	return err
}

func (w *walker) element(e *envelope, list string) error {
	if w.dec.PeekKind() != '{' {
		return w.fault(e, list, "an item has to be an object")
	}
	body, err := w.value()
	e.elements = append(e.elements, element{list: list, body: body})
	return err
}

// fault notes a part that is JSON, but not what has to stand there.
func (w *walker) fault(e *envelope, list, expected string) error {
	kind := kindName(w.dec.PeekKind())
	body, err := w.value()
	e.elements = append(e.elements, element{list: list, body: body, fault: expected + ", this is a JSON " + kind})
	return err
}

// object calls member for every member of the object that comes next; member
// has to read the value.
func (w *walker) object(member func(name string) error) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for w.dec.PeekKind() != '}' {
		name, err := w.dec.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := w.dec.ReadToken()
	return err
}

func (w *walker) array(item func() error) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for w.dec.PeekKind() != ']' {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := w.dec.ReadToken()
	return err
}

// list reads an array; null stands for none, and anything else is malformed.
func (w *walker) list(e *envelope, name string, item func() error) error {
	switch w.dec.PeekKind() {
	case '[':
		return w.array(item)
	case 'n':
		return w.dec.SkipValue()
	default:
		return w.fault(e, name, name+" has to be an array")
	}
}

// text reads a string, or an id that came as a number.
func (w *walker) text(e *envelope, to *string) error {
	*to = "" // of an earlier member with the same name
	switch w.dec.PeekKind() {
	case '"', '0':
		sent, err := readText(w.dec)
		*to = sent
		return err
	case 'n':
		return w.dec.SkipValue()
	default:
		return w.fault(e, "", "object and id have to be strings")
	}
}

// value reads the next value as a part of the body.
func (w *walker) value() ([]byte, error) {
	value, err := w.dec.ReadValue()
	end := w.dec.InputOffset()
	return w.body[end-int64(len(value)) : end], err
}

// next is where the next value begins; it has to be an object or array.
func (w *walker) next() int64 {
	at := w.dec.InputOffset()
	for w.body[at] != '{' && w.body[at] != '[' {
		at++ // white space, commas
	}
	return at
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case '0':
		return "number"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "value"
	}
}
