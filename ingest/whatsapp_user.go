package ingest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/postback-gateway/gateway/schema"
)

// whatsappContact describes a person of a change's items ("Business-scoped user IDs").
// Any of the ids can be missing.
type whatsappContact struct {
	WaID         stringOrInt `json:"wa_id"`
	UserID       stringOrInt `json:"user_id"`
	ParentUserID stringOrInt `json:"parent_user_id"`
	Username     stringOrInt `json:"username"`
	Profile      struct {
		Name     string      `json:"name"`
		Username stringOrInt `json:"username"`
	} `json:"profile"`
}

// whatsappSender has a person's ids as an item names them.
type whatsappSender struct {
	From             stringOrInt `json:"from"`
	FromUserID       stringOrInt `json:"from_user_id"`
	FromParentUserID stringOrInt `json:"from_parent_user_id"`
}

// isScopedID reports whether an id is business-scoped: it starts with a country and a
// point (US.13491208655302741918). Such ids also come in the place of phone numbers.
func isScopedID(id stringOrInt) bool {
	return len(id) > 3 && id[2] == '.' && isUpper(id[0]) && isUpper(id[1])
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// isParentID reports whether a scoped id is one that several portfolios share.
func isParentID(id stringOrInt) bool { return strings.HasPrefix(string(id[2:]), ".ENT.") }

// sortIDs returns a phone number, a scoped id and a parent id, each the first of its sort
// among ids.
func sortIDs(ids ...stringOrInt) (phone, scoped, parent stringOrInt) {
	for _, id := range ids {
		switch {
		case id == "":
		case !isScopedID(id):
			phone = cmp.Or(phone, id)
		case isParentID(id):
			parent = cmp.Or(parent, id)
		default:
			scoped = cmp.Or(scoped, id)
		}
	}
	return phone, scoped, parent
}

// user returns the person of an item. The id is the phone number if WhatsApp sends it,
// because the business's other systems know it too.
func (c *whatsappChange) user(s whatsappSender) schema.User {
	contact := c.contact(s)
	phone, scoped, parent := sortIDs(s.From, contact.WaID)
	scoped = cmp.Or(s.FromUserID, contact.UserID, scoped)
	parent = cmp.Or(s.FromParentUserID, contact.ParentUserID, parent)
	return schema.User{
		ID:             string(cmp.Or(phone, scoped, parent)),
		ScopedID:       string(scoped),
		ParentScopedID: string(parent),
		Name:           contact.Profile.Name,
		Username:       string(cmp.Or(contact.Profile.Username, contact.Username)),
	}
}

// contact finds the person among the contacts. Phone number and wa_id of a person can
// differ. So if no id matches, an only contact is the person of an only item.
func (c *whatsappChange) contact(s whatsappSender) whatsappContact {
	for _, id := range []stringOrInt{s.FromUserID, s.From, s.FromParentUserID} {
		if i, found := c.byID[id]; found {
			return c.contacts[i]
		}
	}
	if len(c.contacts) == 1 && len(c.found.items) == 1 {
		return c.contacts[0]
	}
	return whatsappContact{}
}

// whatsappSystem says that a person has a new phone number or a new scoped id ("System
// messages webhook reference"). Older versions have new_wa_id.
type whatsappSystem struct {
	Type                 lenientString `json:"type"`
	WaID                 stringOrInt   `json:"wa_id"`
	NewWaID              stringOrInt   `json:"new_wa_id"`
	UserID               stringOrInt   `json:"user_id"`
	ParentUserID         stringOrInt   `json:"parent_user_id"`
	PreviousUserID       stringOrInt   `json:"previous_user_id"`
	PreviousParentUserID stringOrInt   `json:"previous_parent_user_id"`
}

// identityTypes are the system messages about a new id. customer_changed_number is of
// older versions.
var identityTypes = []lenientString{"user_changed_number", "user_changed_user_id", "customer_changed_number"}

// fill sets the new ids and the previous ones, some of which are those of the message.
// Other system messages have neither.
func (s *whatsappSystem) fill(e *event) {
	phone := cmp.Or(s.WaID, s.NewWaID)
	if !slices.Contains(identityTypes, s.Type) || cmp.Or(phone, s.UserID, s.ParentUserID) == "" {
		return
	}
	old, _, _ := sortIDs(stringOrInt(e.User.ID))
	previous := &schema.User{
		ID:             string(cmp.Or(old, s.PreviousUserID, s.PreviousParentUserID)),
		ScopedID:       string(s.PreviousUserID),
		ParentScopedID: string(s.PreviousParentUserID),
	}
	if *previous == (schema.User{}) {
		return
	}
	e.Kind, e.Previous = schema.KindIdentity, previous
	e.User = schema.User{
		ID:             string(cmp.Or(phone, s.UserID, s.ParentUserID)),
		ScopedID:       string(s.UserID),
		ParentScopedID: string(s.ParentUserID),
		Name:           e.User.Name,
		Username:       e.User.Username,
	}
}
