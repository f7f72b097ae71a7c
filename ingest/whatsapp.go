package ingest

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// objectOfWhatsApp is the object of WhatsApp's deliveries.
const objectOfWhatsApp = "whatsapp_business_account"

// The types of messages and of interactive replies that are clicks (WhatsApp
// Cloud API, "messages webhook reference", interactive and button).
const (
	whatsappInteractiveType = "interactive"
	whatsappButtonType      = "button"

	whatsappButtonReply = "button_reply"
	whatsappListReply   = "list_reply"
	whatsappFlowReply   = "nfm_reply"
)

// whatsappMessage is an element of a change's messages. null stands for none.
type whatsappMessage struct {
	ID               text                   `json:"id"`
	From             text                   `json:"from"`
	FromUserID       text                   `json:"from_user_id"`
	FromParentUserID text                   `json:"from_parent_user_id"`
	Timestamp        stamp                  `json:"timestamp"`
	Type             hint                   `json:"type"`
	Context          aside[whatsappContext] `json:"context"`
	Interactive      *whatsappInteractive   `json:"interactive"`
	Button           *whatsappTemplate      `json:"button"`
	Referral         *whatsappReferral      `json:"referral"`
}

// whatsappContext names the message that is answered: the one with the button.
type whatsappContext struct {
	ID text `json:"id"`
}

type whatsappInteractive struct {
	Type        hint           `json:"type"`
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

// whatsappReferral tells which ad or post a message came from.
type whatsappReferral struct {
	SourceType text                      `json:"source_type"`
	SourceID   text                      `json:"source_id"`
	Extra      map[string]jsontext.Value `json:",embed"`
}

// whatsapp takes a change of a business account's delivery apart.
func (b *batch) whatsapp(e element) {
	c, err := readWhatsApp(e)
	switch {
	case err != nil: // not after the walk that has found the change
		b.reject(schema.WhatsApp, schema.ReasonMalformed, e.body, err.Error())
	case !c.hasMessages():
		b.ignore(schema.WhatsApp, 1)
	default:
		b.ignore(schema.WhatsApp, c.others)
		for _, message := range c.found.elements {
			b.whatsappMessage(&c, message)
		}
	}
}

// whatsappMessage makes an interaction of a message. Each is judged by itself:
// one that is malformed leaves the others of its change alone.
func (b *batch) whatsappMessage(c *whatsappChange, e element) {
	if e.fault != "" {
		c.reject(b, e, e.fault)
		return
	}
	m, click, err := readWhatsAppMessage(e.body)
	switch {
	case err != nil:
		c.reject(b, e, describe(err))
	case click.kind == "":
		b.ignore(schema.WhatsApp, 1)
	default:
		item, err := b.item(c.interaction(&m, click, e))
		if err != nil {
			c.reject(b, e, err.Error())
			return
		}
		b.items = append(b.items, item)
	}
}

// reject says whose message it was: the dead letter holds the message alone, and
// the phone number stands beside it in the delivery.
func (c *whatsappChange) reject(b *batch, e element, detail string) {
	if c.account != "" {
		detail = "to phone number id " + c.account + ": " + detail
	}
	b.reject(schema.WhatsApp, schema.ReasonMalformed, e.body, detail)
}

func (c *whatsappChange) interaction(m *whatsappMessage, click whatsappClick, e element) interaction {
	return interaction{
		platform:  schema.WhatsApp,
		account:   c.account,
		user:      c.user(m),
		kind:      click.kind,
		channel:   e.channel(),
		title:     click.title,
		id:        string(m.ID),
		timestamp: m.Timestamp,
		payload:   click.payload,
		referral:  m.Referral.normalize(),
		body:      e.body,
		enrich: func(d *schema.Data) {
			d.Description, d.ReplyTo = click.description, string(m.Context.value.ID)
		},
	}
}

// whatsappClick is what a person did; nothing has no kind.
type whatsappClick struct {
	kind                        schema.Kind
	title, description, payload string
}

// readWhatsAppMessage reads a message and what of it is a click. The error is
// only about a message that says of itself that it is one.
func readWhatsAppMessage(body []byte) (m whatsappMessage, click whatsappClick, err error) {
	if err := decode(body, &m); err != nil {
		if isWhatsAppClick(body) {
			return m, click, err
		}
		return m, click, nil
	}
	click, err = m.click()
	if click.kind == "" && err == nil && m.Referral != nil {
		// Whoever writes by way of an ad has followed a link; what is written is
		// no business of the gateway's.
		click.kind = schema.KindReferral
	}
	return m, click, err
}

func (m *whatsappMessage) click() (whatsappClick, error) {
	switch {
	case m.Interactive != nil:
		return m.Interactive.click()
	case m.Button != nil:
		return whatsappClick{kind: schema.KindTemplateButton, title: m.Button.Text, payload: m.Button.Payload}, nil
	case m.Type == whatsappInteractiveType, m.Type == whatsappButtonType:
		return whatsappClick{}, fmt.Errorf("%s is missing", m.Type)
	default:
		return whatsappClick{}, nil
	}
}

func (i *whatsappInteractive) click() (whatsappClick, error) {
	switch {
	case i.ButtonReply != nil:
		return whatsappClick{kind: schema.KindButton, title: i.ButtonReply.Title, payload: i.ButtonReply.ID}, nil
	case i.ListReply != nil:
		return whatsappClick{kind: schema.KindList, title: i.ListReply.Title, description: i.ListReply.Description, payload: i.ListReply.ID}, nil
	case i.FlowReply != nil:
		return whatsappClick{kind: schema.KindFlow, title: i.FlowReply.Body, payload: i.FlowReply.ResponseJSON}, nil
	case i.Type == whatsappButtonReply, i.Type == whatsappListReply, i.Type == whatsappFlowReply:
		return whatsappClick{}, fmt.Errorf("interactive/%s is missing", i.Type)
	default:
		return whatsappClick{}, nil // a reply of another type, such as a permission to call
	}
}

// isWhatsAppClick tells of a message that could not be read whether it is a click
// or came from an ad.
func isWhatsAppClick(body []byte) bool {
	var probe struct {
		Type        hint           `json:"type"`
		Interactive jsontext.Value `json:"interactive"`
		Button      jsontext.Value `json:"button"`
		Referral    jsontext.Value `json:"referral"`
	}
	if err := decode(body, &probe); err != nil {
		return true // cannot be told: better a dead letter than a lost click
	}
	return probe.Type == whatsappInteractiveType || probe.Type == whatsappButtonType ||
		given(probe.Interactive) || given(probe.Button) || given(probe.Referral)
}

// given tells whether a member is there and not null.
func given(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// normalize: source_type is what other platforms call the source. A source_id is
// an ad's only where the source is an ad; it can be a post's.
func (r *whatsappReferral) normalize() *schema.Referral {
	if r == nil {
		return nil
	}
	out := &schema.Referral{Source: string(r.SourceType), Extra: foreignFields(r.Extra)}
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

// whatsappContact is a person as a change describes the senders of its messages
// ("Business-scoped user IDs"). Any of the ids can be missing.
type whatsappContact struct {
	WaID         text `json:"wa_id"`
	UserID       text `json:"user_id"`
	ParentUserID text `json:"parent_user_id"`
	Username     text `json:"username"`
	Profile      struct {
		Name     string `json:"name"`
		Username text   `json:"username"`
	} `json:"profile"`
}

// user is the sender of a message. A person is known by the phone number while
// WhatsApp tells it: it is what the business's other systems know too.
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

// contact finds the sender among the contacts. A phone number and a wa_id can
// differ for the same person, so the only contact of an only message is its
// sender where no id tells.
func (c *whatsappChange) contact(m *whatsappMessage) whatsappContact {
	for _, id := range []text{m.FromUserID, m.From, m.FromParentUserID} {
		if i, found := c.known[id]; found {
			return c.contacts[i]
		}
	}
	if len(c.contacts) == 1 && len(c.found.elements) == 1 {
		return c.contacts[0]
	}
	return whatsappContact{}
}
