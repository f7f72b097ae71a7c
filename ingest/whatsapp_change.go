package ingest

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// whatsappChange is an item of entry[].changes, split into the items of its lists, which
// are not decoded yet.
type whatsappChange struct {
	field       lenientString
	account     string
	around      *rawItem // the change itself
	contacts    []whatsappContact
	rawContacts []byte
	byID        map[stringOrInt]int // indexes of contacts by each of their ids
	found       envelope            // the items of all lists, in their order
	kinds       []*whatsappList     // of the items
}

// whatsappList is a list in the value of a change.
type whatsappList struct {
	name   string
	fields []lenientString // of the changes that have this list
	// decode adds an item of the list to the batch.
	decode func(c *whatsappChange, b *batch, item *rawItem)
	// isOther says that no item of the list is a click: items can have any form.
	isOther bool
}

// The fields of changes with items. A change without a field can have any of them.
const (
	fieldCalls       = "calls"
	fieldPreferences = "user_preferences"
)

// whatsappLists is the table of lists, by their names.
var whatsappLists = map[string]*whatsappList{
	"messages":         {"messages", []lenientString{fieldMessages, fieldStandby, ""}, (*whatsappChange).decodeMessage, false},
	"calls":            {"calls", []lenientString{fieldCalls, ""}, (*whatsappChange).decodeCall, false},
	"user_preferences": {"user_preferences", []lenientString{fieldPreferences, ""}, (*whatsappChange).decodePreference, false},
	"statuses":         {"statuses", []lenientString{fieldMessages, fieldStandby, fieldCalls, ""}, (*whatsappChange).decodeStatus, true},
	"message_echoes":   {"message_echoes", []lenientString{fieldMessages, fieldStandby, ""}, (*whatsappChange).decodeEcho, true},
}

// malformedValue stands for a value of a wrong JSON type in a change that can have clicks.
var malformedValue = &whatsappList{
	fields: []lenientString{fieldMessages, fieldStandby, fieldCalls, fieldPreferences, ""},
	decode: (*whatsappChange).decodeMessage,
}

// placeItems tells the items where they are.
func (c *whatsappChange) placeItems(item *rawItem) {
	c.around = item
	for i := range c.found.items {
		c.found.items[i].change, c.found.items[i].member = c, c.kinds[i].name
	}
}

// decode adds the items of the change to the batch, and reports whether there are any.
// Lists of other fields do not count.
func (c *whatsappChange) decode(b *batch) (hasItems bool) {
	for i := range c.found.items {
		if list := c.kinds[i]; slices.Contains(list.fields, c.field) {
			list.decode(c, b, &c.found.items[i])
			hasItems = true
		}
	}
	return hasItems
}

// whatsappWalker cuts the items out of a change without copying.
type whatsappWalker struct {
	walker
	change      whatsappChange
	currentList string // of the items that are found next
}

// readWhatsAppChange walks once over a change. Other members than the lists can come in
// any order, and be malformed without an effect on the items.
func readWhatsAppChange(item *rawItem) (whatsappChange, error) {
	w := whatsappWalker{walker: newWalker(item.body), currentList: item.list}
	defer w.release()
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
		for i := range w.change.found.items {
			w.change.found.items[i].list = standbyOf(item.list)
		}
	}
	return w.change, err
}

// standbyOf returns the list of items on standby. Those of a sample stay there.
func standbyOf(list string) string {
	if list == listSample {
		return listSample
	}
	return listStandby
}

// objectOrNull reads an object that can have items.
func (w *whatsappWalker) objectOrNull(name string, member func(string) error) error {
	switch w.dec.PeekKind() {
	case '{':
		return w.object(member)
	case 'n':
		return w.dec.SkipValue()
	default:
		w.change.kinds = append(w.change.kinds, malformedValue)
		return w.malformed(&w.change.found, w.currentList, name+" has to be an object")
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
	}
	if list := whatsappLists[name]; list != nil {
		return w.items(name, list)
	}
	return w.dec.SkipValue()
}

// items reads a list. Only those with clicks can be malformed.
func (w *whatsappWalker) items(name string, list *whatsappList) error {
	found := &w.change.found
	if list.isOther && w.dec.PeekKind() != '[' {
		return w.dec.SkipValue()
	}
	err := w.list(found, name, func() error { return w.item(found, w.currentList) })
	for len(w.change.kinds) < len(found.items) {
		w.change.kinds = append(w.change.kinds, list)
	}
	return err
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
	w.change.contacts, w.change.byID, w.change.rawContacts = nil, nil, body
	var all []jsontext.Value
	if decodeJSON(body, &all) != nil {
		return err
	}
	for _, one := range all {
		var contact whatsappContact
		if decodeJSON(one, &contact) == nil {
			w.change.addContact(contact)
		}
	}
	return err
}

func (c *whatsappChange) addContact(contact whatsappContact) {
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
