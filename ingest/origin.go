package ingest

import (
	"encoding/json"
	"strings"

	"github.com/postback-gateway/gateway/schema"
)

// Bounds of what a dead letter keeps of its delivery, in bytes: a delivery can have a
// thousand malformed items. Real names and contacts are much shorter.
const (
	maxEnvelopeName = 256
	maxContacts     = 2048
)

// Envelope implements [schema.Origin]: the delivery around the item, without other items.
func (item *rawItem) Envelope() schema.Envelope {
	var e schema.Envelope
	if !item.bare {
		e.Before, e.After = "[", "]"
	}
	around := item
	if c := item.change; c != nil {
		c.enclose(&e, item)
		around = c.around
	}
	switch around.list {
	case listMessaging, listStandby, listChanges, listCalls:
		enclose(&e, `{"id":`+quoteName(around.entryID)+`,"`+around.list+`":`, `}`)
		enclose(&e, `{"object":`+quoteName(around.object)+`,"entry":[`, `]}`)
	case listEntry:
		enclose(&e, `{"object":`+quoteName(around.object)+`,"entry":`, `}`)
	case listName:
		return schema.Envelope{Before: `{"object":`, After: `}`}
	case listDelivery:
		return schema.Envelope{}
	case listSample:
		if item.change == nil {
			return schema.Envelope{}
		}
	}
	return e
}

func enclose(e *schema.Envelope, before, after string) {
	e.Before, e.After = before+e.Before, e.After+after
}

// quoteName returns a name as JSON.
func quoteName(name string) string {
	if len(name) > maxEnvelopeName {
		name = strings.ToValidUTF8(name[:maxEnvelopeName], "") // still too long for an account
	}
	quoted, _ := json.Marshal(name) // a string cannot fail
	return string(quoted)
}

// enclose adds the change around one of its items. On standby the list can be in an object
// of its own.
func (c *whatsappChange) enclose(e *schema.Envelope, item *rawItem) {
	isNested := item.list == listStandby && c.around.list != listStandby && c.field != fieldStandby
	if item.member == "" { // the value itself, or its standby
		e.Before, e.After = "", ""
		if isNested {
			enclose(e, `{"standby":`, `}`)
		}
	} else {
		list := `"` + item.member + `":`
		if isNested {
			list = `"standby":{` + list
			e.After += "}"
		}
		enclose(e, `{"messaging_product":"whatsapp","metadata":{"phone_number_id":`+quoteName(c.account)+`},`+c.keptContacts()+list, `}`)
	}
	enclose(e, `{"field":`+quoteName(string(c.field))+`,"value":`, `}`)
	if c.around.list != listSample {
		enclose(e, "[", "]")
	}
}

// keptContacts returns the contacts. One more keeps an only contact from being taken for
// the person of the item, which was not the only one.
func (c *whatsappChange) keptContacts() string {
	raw := string(c.rawContacts)
	switch {
	case len(raw) > maxContacts, len(c.contacts) == 0:
		return ""
	case len(c.contacts) == 1 && len(c.found.items) > 1:
		raw = strings.TrimSuffix(raw, "]") + ",{}]"
	}
	return `"contacts":` + raw + `,`
}
