package ingest

import (
	"github.com/go-json-experiment/json/jsontext"
)

// whatsappChange is an item of entry[].changes, split into messages that are not decoded
// yet.
type whatsappChange struct {
	field    lenientString
	account  string
	contacts []whatsappContact
	byID     map[stringOrInt]int // indexes of contacts by each of their ids
	messages envelope            // as its items
	ignored  int                 // statuses and echoes
}

// hasMessages returns false for a change of another field, and for one without messages,
// statuses and echoes. A change without a field can have messages.
func (c *whatsappChange) hasMessages() bool {
	isMessages := c.field == fieldMessages || c.field == fieldStandby || c.field == ""
	return isMessages && len(c.messages.items)+c.ignored > 0
}

// whatsappWalker cuts the messages out of a change without copying.
type whatsappWalker struct {
	walker
	change      whatsappChange
	currentList string // of the messages that are found next
}

// readWhatsAppChange walks once over a change. Other members than the messages can
// come in any order, and be malformed without an effect on the messages.
func readWhatsAppChange(item *rawItem) (whatsappChange, error) {
	w := whatsappWalker{walker: newWalker(item.body), currentList: item.list}
	err := w.object(func(name string) error {
		switch name {
		case "field":
			w.change.field = "" // of an earlier member with the same name
			return w.change.field.UnmarshalJSONFrom(w.dec)
		case "value":
			w.change = whatsappChange{field: w.change.field}
			return w.objectOrNull("value", w.valueMember)
		default:
			return w.dec.SkipValue()
		}
	})
	if w.change.field == fieldStandby {
		for i := range w.change.messages.items {
			w.change.messages.items[i].list = standbyOf(item.list)
		}
	}
	return w.change, err
}

// standbyOf returns the list of messages on standby. Those of a sample stay there.
func standbyOf(list string) string {
	if list == listSample {
		return listSample
	}
	return listStandby
}

// objectOrNull reads an object that can have messages.
func (w *whatsappWalker) objectOrNull(name string, member func(string) error) error {
	switch w.dec.PeekKind() {
	case '{':
		return w.object(member)
	case 'n':
		return w.dec.SkipValue()
	default:
		return w.malformed(&w.change.messages, w.currentList, name+" has to be an object")
	}
}

// valueMember reads a member of a change's value. On standby the messages are in an
// object of their own ("Standby webhooks").
func (w *whatsappWalker) valueMember(name string) error {
	if name != "standby" {
		return w.content(name)
	}
	around := w.currentList
	defer func() { w.currentList = around }()
	w.currentList = standbyOf(around)
	return w.objectOrNull("value/standby", w.content)
}

func (w *whatsappWalker) content(name string) error {
	switch name {
	case "metadata":
		return w.metadata()
	case "contacts":
		return w.contacts()
	case "messages":
		return w.list(&w.change.messages, "messages", func() error {
			return w.item(&w.change.messages, w.currentList)
		})
	case "statuses", "message_echoes":
		return w.ignoreList()
	default:
		return w.dec.SkipValue()
	}
}

// metadata reads the account. If it cannot be decoded, every click of the change is
// malformed.
func (w *whatsappWalker) metadata() error {
	body, err := w.value()
	var metadata struct {
		PhoneNumberID stringOrInt `json:"phone_number_id"`
	}
	w.change.account = ""
	if decodeJSON(body, &metadata) == nil {
		w.change.account = string(metadata.PhoneNumberID)
	}
	return err
}

// contacts reads the contacts. They only add to an event, so one that cannot be decoded
// is left out.
func (w *whatsappWalker) contacts() error {
	body, err := w.value()
	w.change.contacts, w.change.byID = nil, nil
	var all []jsontext.Value
	if decodeJSON(body, &all) != nil {
		return err
	}
	for _, one := range all {
		var contact whatsappContact
		if decodeJSON(one, &contact) == nil {
			w.change.add(contact)
		}
	}
	return err
}

func (c *whatsappChange) add(contact whatsappContact) {
	if c.byID == nil {
		c.byID = make(map[stringOrInt]int)
	}
	for _, id := range []stringOrInt{contact.WaID, contact.UserID, contact.ParentUserID} {
		if _, taken := c.byID[id]; id != "" && !taken {
			c.byID[id] = len(c.contacts)
		}
	}
	c.contacts = append(c.contacts, contact)
}

// ignoreList counts the elements of a list without clicks.
func (w *whatsappWalker) ignoreList() error {
	if w.dec.PeekKind() != '[' {
		return w.dec.SkipValue()
	}
	return w.array(func() error {
		w.change.ignored++
		return w.dec.SkipValue()
	})
}
