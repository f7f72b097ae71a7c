package ingest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// The types of messages and of interactive replies that are clicks (WhatsApp
// Cloud API, "messages webhook reference", interactive and button).
const (
	whatsappInteractiveType = "interactive"
	whatsappButtonType      = "button"

	whatsappButtonReply = "button_reply"
	whatsappListReply   = "list_reply"
	whatsappFlowReply   = "nfm_reply"
)

// whatsappMessage is one of a change's messages.
type whatsappMessage struct {
	ID               stringOrInt               `json:"id"`
	From             stringOrInt               `json:"from"`
	FromUserID       stringOrInt               `json:"from_user_id"`
	FromParentUserID stringOrInt               `json:"from_parent_user_id"`
	Timestamp        timestamp                 `json:"timestamp"`
	Type             lenientString             `json:"type"`
	Context          optional[whatsappContext] `json:"context"`
	Interactive      *whatsappInteractive      `json:"interactive"`
	Button           *whatsappTemplate         `json:"button"`
	Referral         *whatsappReferral         `json:"referral"`
}

// whatsappContext names the message with the button.
type whatsappContext struct {
	ID stringOrInt `json:"id"`
}

type whatsappInteractive struct {
	Type        lenientString  `json:"type"`
	ButtonReply *whatsappReply `json:"button_reply"`
	ListReply   *whatsappReply `json:"list_reply"`
	FlowReply   *whatsappFlow  `json:"nfm_reply"`
}

type whatsappReply struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
}

type whatsappFlow struct {
	Body         string `json:"body"`
	ResponseJSON string `json:"response_json"`
}

// whatsappTemplate is a tap on a quick reply of a template.
type whatsappTemplate struct {
	Payload string `json:"payload"`
	Text    string `json:"text"`
}

// whatsappReferral says which ad or post a message came from.
type whatsappReferral struct {
	SourceType stringOrInt               `json:"source_type"`
	SourceID   stringOrInt               `json:"source_id"`
	Extra      map[string]jsontext.Value `json:",embed"`
}

// whatsapp has the changes of WhatsApp business accounts.
var whatsapp = metaPlatform{name: schema.WhatsApp, decode: decodeWhatsApp}

// decodeWhatsApp decodes a change of a business account.
func decodeWhatsApp(b *batch, item *rawItem, _ *metaPlatform) {
	c, err := readWhatsAppChange(item)
	switch {
	case err != nil: // cannot happen: the body has been read before
		b.deadLetter(schema.WhatsApp, schema.ReasonMalformed, item.body, err.Error())
	case !c.hasMessages():
		b.ignore(schema.WhatsApp, 1)
	default:
		if c.ignored > 0 {
			b.ignore(schema.WhatsApp, c.ignored)
		}
		for i := range c.messages.items { // a malformed one does not affect the others
			item := &c.messages.items[i]
			e := event{body: item.body}
			b.add(&e, c.fill(&e, item))
		}
	}
}

// fill sets the event of a message. The kind stays empty if the message is not one.
func (c *whatsappChange) fill(e *event, item *rawItem) error {
	e.Platform, e.Account.ID, e.Channel = schema.WhatsApp, c.account, item.channel()
	if c.account != "" { // the dead letter has the message alone, without its account
		e.note = "to phone number id " + c.account + ": "
	}
	if item.fault != "" {
		return errors.New(item.fault)
	}
	m, err := readWhatsAppMessage(item.body)
	if err != nil {
		return err
	}
	e.User = c.user(&m)
	return m.fill(e)
}

// readWhatsAppMessage returns an empty message if it cannot be decoded and does not say
// that it is an event.
func readWhatsAppMessage(body []byte) (m whatsappMessage, err error) {
	if err = decodeJSON(body, &m); err != nil && !mayBeWhatsAppEvent(body) {
		return whatsappMessage{}, nil
	}
	return m, err
}

// fill sets what the person did. The kind stays empty if the message is not an event.
// The error is about a message that says that it is one.
func (m *whatsappMessage) fill(e *event) error {
	if err := m.fillClick(e); err != nil {
		return err
	}
	if e.Kind == "" && m.Referral != nil {
		e.Kind = schema.KindReferral // the person wrote after tapping an ad
	}
	e.id, e.timestamp = string(m.ID), m.Timestamp
	e.MessageID, e.ReplyTo, e.Referral = e.id, string(m.Context.value.ID), m.Referral.normalize()
	return nil
}

func (m *whatsappMessage) fillClick(e *event) error {
	switch {
	case m.Interactive != nil:
		return m.Interactive.fill(e)
	case m.Button != nil:
		e.Kind, e.Title, e.Payload = schema.KindTemplateButton, m.Button.Text, newPayload(m.Button.Payload)
	case m.Type == whatsappInteractiveType, m.Type == whatsappButtonType:
		return fmt.Errorf("%s is missing", m.Type)
	}
	return nil
}

// fill ignores replies of other types, such as a permission to call.
func (i *whatsappInteractive) fill(e *event) error {
	switch {
	case i.ButtonReply != nil:
		e.Kind, e.Title, e.Payload = schema.KindButton, i.ButtonReply.Title, newPayload(i.ButtonReply.ID)
	case i.ListReply != nil:
		e.Kind, e.Title, e.Payload = schema.KindList, i.ListReply.Title, newPayload(i.ListReply.ID)
		e.Description = i.ListReply.Description
	case i.FlowReply != nil:
		e.Kind, e.Title, e.Payload = schema.KindFlow, i.FlowReply.Body, newPayload(i.FlowReply.ResponseJSON)
	case i.Type == whatsappButtonReply, i.Type == whatsappListReply, i.Type == whatsappFlowReply:
		return fmt.Errorf("interactive/%s is missing", i.Type)
	}
	return nil
}

// mayBeWhatsAppEvent reports whether a message that could not be decoded says that it
// is a click or came from an ad, or cannot say what it is. A dead letter is better than
// a lost click.
func mayBeWhatsAppEvent(body []byte) bool {
	var members struct {
		Type        lenientString  `json:"type"`
		Interactive jsontext.Value `json:"interactive"`
		Button      jsontext.Value `json:"button"`
		Referral    jsontext.Value `json:"referral"`
	}
	if err := decodeJSON(body, &members); err != nil {
		return true
	}
	return members.Type == whatsappInteractiveType || members.Type == whatsappButtonType ||
		isPresent(members.Interactive) || isPresent(members.Button) || isPresent(members.Referral)
}

// normalize returns a referral whose source is the source_type. The source_id is that
// of an ad only if the source is one; it can be a post's.
func (r *whatsappReferral) normalize() *schema.Referral {
	if r == nil {
		return nil
	}
	out := &schema.Referral{Source: string(r.SourceType), Extra: safeFields(r.Extra)}
	switch {
	case r.SourceType == "ad":
		out.AdID = string(r.SourceID)
	case r.SourceID != "":
		if out.Extra == nil {
			out.Extra = make(map[string]json.RawMessage, 1)
		}
		out.Extra["source_id"], _ = json.Marshal(string(r.SourceID)) // a string cannot fail
	}
	return out
}

// whatsappContact describes a sender of a change's messages ("Business-scoped user
// IDs"). Any of the ids can be missing.
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

// user returns the sender of a message. The id is the phone number if WhatsApp sends
// it, because the business's other systems know it too.
func (c *whatsappChange) user(m *whatsappMessage) schema.User {
	contact := c.contact(m)
	scoped := cmp.Or(m.FromUserID, contact.UserID)
	parent := cmp.Or(m.FromParentUserID, contact.ParentUserID)
	return schema.User{
		ID:             string(cmp.Or(m.From, contact.WaID, scoped, parent)),
		ScopedID:       string(scoped),
		ParentScopedID: string(parent),
		Name:           contact.Profile.Name,
		Username:       string(cmp.Or(contact.Profile.Username, contact.Username)),
	}
}

// contact finds the sender among the contacts. Phone number and wa_id of a person can
// differ. So if no id matches, an only contact is the sender of an only message.
func (c *whatsappChange) contact(m *whatsappMessage) whatsappContact {
	for _, id := range []stringOrInt{m.FromUserID, m.From, m.FromParentUserID} {
		if i, found := c.byID[id]; found {
			return c.contacts[i]
		}
	}
	if len(c.contacts) == 1 && len(c.messages.items) == 1 {
		return c.contacts[0]
	}
	return whatsappContact{}
}
