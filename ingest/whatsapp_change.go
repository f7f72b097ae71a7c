package ingest

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// whatsappChange is an element of entry[].changes with its messages found and
// not yet looked into.
type whatsappChange struct {
	field    hint
	account  string
	contacts []whatsappContact
	known    map[text]int // the contacts by each of their ids
	found    envelope     // the messages, as elements
	others   int          // statuses and echoes
}

// hasMessages is false of a change of another field and of one that holds
// nothing to count. A change that names no field can be one of messages.
func (c *whatsappChange) hasMessages() bool {
	isMessages := c.field == fieldMessages || c.field == fieldStandby || c.field == ""
	return isMessages && len(c.found.elements)+c.others > 0
}

// whatsappWalker cuts the messages out of a change uncopied.
type whatsappWalker struct {
	walker
	change whatsappChange
	place  string // the list that messages found next count to
}

// readWhatsApp walks once over a change. What is beside the messages can stand
// in any order and be wrong without harm to them.
func readWhatsApp(e element) (whatsappChange, error) {
	w := whatsappWalker{
		walker: walker{body: e.body, dec: jsontext.NewDecoder(bytes.NewBuffer(e.body), lenient...)},
		place:  e.list,
	}
	err := w.object(func(name string) error {
		switch name {
		case "field":
			w.change.field = "" // of an earlier member with the same name
			return w.change.field.UnmarshalJSONFrom(w.dec)
		case "value":
			w.change = whatsappChange{field: w.change.field}
			return w.part("value", w.member)
		default:
			return w.dec.SkipValue()
		}
	})
	if w.change.field == fieldStandby {
		for i := range w.change.found.elements {
			w.change.found.elements[i].list = standbyOf(e.list)
		}
	}
	return w.change, err
}

// standbyOf is the list of messages on standby. A bare sample stays one.
func standbyOf(list string) string {
	if list == listBare {
		return listBare
	}
	return listStandby
}

// part reads an object that can hold messages; null stands for none.
func (w *whatsappWalker) part(name string, member func(string) error) error {
	switch w.dec.PeekKind() {
	case '{':
		return w.object(member)
	case 'n':
		return w.dec.SkipValue()
	default:
		return w.fault(&w.change.found, w.place, name+" has to be an object")
	}
}

// member reads a member of a change's value. On standby the messages stand in an
// object of their own ("Standby webhooks").
func (w *whatsappWalker) member(name string) error {
	if name != "standby" {
		return w.content(name)
	}
	around := w.place
	defer func() { w.place = around }()
	w.place = standbyOf(around)
	return w.part("value/standby", w.content)
}

func (w *whatsappWalker) content(name string) error {
	switch name {
	case "metadata":
		return w.metadata()
	case "contacts":
		return w.contacts()
	case "messages":
		return w.list(&w.change.found, "messages", func() error {
			return w.element(&w.change.found, w.place)
		})
	case "statuses", "message_echoes":
		return w.count()
	default:
		return w.dec.SkipValue()
	}
}

// metadata that cannot be read leaves the account out, which every click of the
// change then lacks.
func (w *whatsappWalker) metadata() error {
	body, err := w.value()
	var metadata struct {
		PhoneNumberID text `json:"phone_number_id"`
	}
	w.change.account = ""
	if decode(body, &metadata) == nil {
		w.change.account = string(metadata.PhoneNumberID)
	}
	return err
}

// contacts only add to what a message says: one that cannot be read is left out.
func (w *whatsappWalker) contacts() error {
	body, err := w.value()
	w.change.contacts, w.change.known = nil, nil
	var all []jsontext.Value
	if decode(body, &all) != nil {
		return err
	}
	for _, one := range all {
		var contact whatsappContact
		if decode(one, &contact) == nil {
			w.change.add(contact)
		}
	}
	return err
}

func (c *whatsappChange) add(contact whatsappContact) {
	if c.known == nil {
		c.known = make(map[text]int)
	}
	for _, id := range []text{contact.WaID, contact.UserID, contact.ParentUserID} {
		if _, taken := c.known[id]; id != "" && !taken {
			c.known[id] = len(c.contacts)
		}
	}
	c.contacts = append(c.contacts, contact)
}

// count counts the elements of a list that holds no clicks.
func (w *whatsappWalker) count() error {
	if w.dec.PeekKind() != '[' {
		return w.dec.SkipValue()
	}
	return w.array(func() error {
		w.change.others++
		return w.dec.SkipValue()
	})
}
