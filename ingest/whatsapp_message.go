package ingest

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// The types of messages and of interactive replies that are clicks (WhatsApp
// Cloud API, "messages webhook reference", interactive and button).
const (
	whatsappInteractiveType = "interactive"
	whatsappButtonType      = "button"
	whatsappOrderType       = "order"
	whatsappSystemType      = "system"

	whatsappButtonReply     = "button_reply"
	whatsappListReply       = "list_reply"
	whatsappFormReply       = "nfm_reply"
	whatsappPermissionReply = "call_permission_reply"

	whatsappFlow = "flow"
)

// whatsappMessage is one of a change's messages.
type whatsappMessage struct {
	whatsappSender
	ID          stringOrInt               `json:"id"`
	GroupID     optional[stringOrInt]     `json:"group_id"`
	Timestamp   timestamp                 `json:"timestamp"`
	Type        lenientString             `json:"type"`
	Context     optional[whatsappContext] `json:"context"`
	Interactive *whatsappInteractive      `json:"interactive"`
	Button      *whatsappTemplate         `json:"button"`
	Referral    *whatsappReferral         `json:"referral"`
	System      optional[whatsappSystem]  `json:"system"`
}

// whatsappContext names the message with the button, or the product that the message is
// about.
type whatsappContext struct {
	ID      stringOrInt              `json:"id"`
	Product optional[jsontext.Value] `json:"referred_product"`
}

type whatsappInteractive struct {
	Type        lenientString                       `json:"type"`
	ButtonReply *whatsappReply                      `json:"button_reply"`
	ListReply   *whatsappReply                      `json:"list_reply"`
	FormReply   *whatsappForm                       `json:"nfm_reply"`
	Permission  optional[map[string]jsontext.Value] `json:"call_permission_reply"`
}

type whatsappReply struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
}

// whatsappForm is what a person entered into a flow, or into another form with a name.
type whatsappForm struct {
	Name         lenientString `json:"name"`
	ResponseJSON string        `json:"response_json"`
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
	e.id, e.timestamp, e.MessageID = string(m.ID), m.Timestamp, string(m.ID)
	e.ReplyTo, e.Referral = string(m.Context.value.ID), m.referral()
	if m.GroupID.value != "" {
		e.Chat = &schema.Chat{ID: string(m.GroupID.value), Type: "group"}
	}
	switch {
	case m.Interactive != nil:
		return m.Interactive.fill(e)
	case m.Button != nil:
		e.Kind, e.Title, e.Payload = schema.KindTemplateButton, m.Button.Text, newPayload(m.Button.Payload)
	case m.Type == whatsappInteractiveType, m.Type == whatsappButtonType:
		return fmt.Errorf("%s is missing", m.Type)
	case m.Type == whatsappSystemType:
		m.System.value.fill(e)
	case e.Referral != nil && m.Type != whatsappOrderType:
		e.Kind = schema.KindReferral // the person wrote after tapping an ad or about a product
	}
	return nil
}

// fill sets nothing for replies of other types, such as a product.
func (i *whatsappInteractive) fill(e *event) error {
	switch {
	case i.ButtonReply != nil:
		e.Kind, e.Title, e.Payload = schema.KindButton, i.ButtonReply.Title, newPayload(i.ButtonReply.ID)
	case i.ListReply != nil:
		e.Kind, e.Title, e.Payload = schema.KindList, i.ListReply.Title, newPayload(i.ListReply.ID)
		e.Description = i.ListReply.Description
	case i.FormReply != nil:
		e.Kind, e.Payload = schema.KindFlow, newPayload(i.FormReply.ResponseJSON)
		if name := cmp.Or(i.FormReply.Name, whatsappFlow); name != whatsappFlow {
			e.Kind, e.Form = schema.KindForm, string(name)
		}
	case i.Permission.present, i.Type == whatsappPermissionReply:
		e.Kind = schema.KindOptin
		e.Referral = &schema.Referral{Type: schema.OptinCallPermission, Extra: safeFields(i.Permission.value)}
	case i.Type == whatsappButtonReply, i.Type == whatsappListReply, i.Type == whatsappFormReply:
		return fmt.Errorf("interactive/%s is missing", i.Type)
	case e.Referral != nil:
		e.Kind = schema.KindReferral
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

// referral returns the ad or post that the message came from, and the product that it is
// about.
func (m *whatsappMessage) referral() *schema.Referral {
	out := m.Referral.normalize()
	product := m.Context.value.Product.value
	if product.Kind() != '{' {
		return out
	}
	if out == nil {
		out = &schema.Referral{}
	}
	if out.Extra == nil {
		out.Extra = make(map[string]json.RawMessage, 1)
	}
	if safe, err := schema.SafeJSON(product); err == nil {
		out.Extra["product"] = safe
	}
	return out
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
