package ingest

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// whatsapp has the changes of WhatsApp business accounts.
var whatsapp = metaPlatform{name: schema.WhatsApp, decode: decodeWhatsApp}

// decodeWhatsApp decodes a change of a business account.
func decodeWhatsApp(b *batch, item *rawItem, _ *metaPlatform) {
	c, err := readWhatsAppChange(item)
	c.placeItems(item)
	if err == nil && c.decode(b) {
		return
	}
	e := event{body: item.body, origin: item, describe: func(other *event) {
		item.describe(other)
		other.Account.ID = cmp.Or(c.account, other.Account.ID)
	}}
	e.Platform = schema.WhatsApp
	b.add(&e, err) // there is none: the body has been read before
}

// newEvent returns an event for an item of one of the change's lists. A malformed item does
// not affect the others.
func (c *whatsappChange) newEvent(item *rawItem, describe func(other *event)) (*event, error) {
	e := event{body: item.body, describe: describe, origin: item}
	e.Platform, e.Account.ID, e.Channel = schema.WhatsApp, c.account, item.channel()
	if c.account != "" { // the dead letter has the item alone, without its account
		e.note = "to phone number id " + c.account + ": "
	}
	if item.fault != "" {
		return &e, errors.New(item.fault)
	}
	return &e, nil
}

func (c *whatsappChange) decodeMessage(b *batch, item *rawItem) {
	var m whatsappMessage
	e, err := c.newEvent(item, func(other *event) {
		other.What, other.id, other.timestamp = string(cmp.Or(m.Type, "message")), string(m.ID), m.Timestamp
		other.User, other.MessageID = c.user(m.whatsappSender), other.id
	})
	if err == nil {
		m, err = readWhatsAppMessage(item.body)
	}
	if err == nil {
		e.User = c.user(m.whatsappSender)
		err = m.fill(e)
	}
	b.add(e, err)
}

// whatsappCall is a call that a person or the business starts or ends ("Call button
// messages and deep links").
type whatsappCall struct {
	whatsappSender
	ID        stringOrInt   `json:"id"`
	Timestamp timestamp     `json:"timestamp"`
	Event     lenientString `json:"event"`
	Direction lenientString `json:"direction"`
	To        lenientString `json:"to"`
	Payload   string        `json:"cta_payload"`      // of the call button
	Ref       string        `json:"deeplink_payload"` // of the link
}

// decodeCall decodes a call. Its id makes the start and the end of a call one click.
func (c *whatsappChange) decodeCall(b *batch, item *rawItem) {
	var call whatsappCall
	e, err := c.newEvent(item, func(other *event) {
		sender := call.whatsappSender
		if call.Direction == "BUSINESS_INITIATED" {
			sender = whatsappSender{From: stringOrInt(call.To)}
		}
		other.What, other.id, other.timestamp = "call_"+string(cmp.Or(call.Event, "update")), string(call.ID), call.Timestamp
		other.User = c.user(sender)
	})
	if err == nil {
		if err = decodeJSON(item.body, &call); err != nil && !mayBeCallClick(item.body) {
			err = nil
		}
		e.User, e.id, e.timestamp = c.user(call.whatsappSender), string(call.ID), call.Timestamp
		call.fill(e)
	}
	b.add(e, err)
}

func (call *whatsappCall) fill(e *event) {
	if call.Ref != "" {
		e.Kind, e.Referral = schema.KindReferral, &schema.Referral{Ref: call.Ref}
	}
	if call.Payload != "" {
		e.Kind, e.Payload = schema.KindCallButton, newPayload(call.Payload)
	}
}

// mayBeCallClick reports whether a call that could not be decoded has a payload.
func mayBeCallClick(body []byte) bool {
	var members struct {
		Payload jsontext.Value `json:"cta_payload"`
		Ref     jsontext.Value `json:"deeplink_payload"`
	}
	return decodeJSON(body, &members) != nil || isPresent(members.Payload) || isPresent(members.Ref)
}

// whatsappPreference is a person's choice about marketing messages.
type whatsappPreference struct {
	WaID         stringOrInt    `json:"wa_id"`
	UserID       stringOrInt    `json:"user_id"`
	ParentUserID stringOrInt    `json:"parent_user_id"`
	Value        lenientString  `json:"value"`
	Category     jsontext.Value `json:"category"`
	Detail       jsontext.Value `json:"detail"`
	Timestamp    timestamp      `json:"timestamp"`
}

// decodePreference decodes an opt-in or opt-out. Its sort is the value in capitals, as
// those of Messenger are written.
func (c *whatsappChange) decodePreference(b *batch, item *rawItem) {
	e, err := c.newEvent(item, nil)
	if err == nil {
		var p whatsappPreference
		err = decodeJSON(item.body, &p)
		e.Kind, e.timestamp = schema.KindOptin, p.Timestamp
		e.User = c.user(whatsappSender{p.WaID, p.UserID, p.ParentUserID})
		e.Referral = &schema.Referral{Type: strings.ToUpper(string(p.Value)), Extra: p.extra()}
	}
	b.add(e, err)
}

func (p *whatsappPreference) extra() map[string]json.RawMessage {
	fields := make(map[string]jsontext.Value, 2)
	for name, value := range map[string]jsontext.Value{"category": p.Category, "detail": p.Detail} {
		if isPresent(value) {
			fields[name] = value
		}
	}
	return safeFields(fields)
}

// whatsappStatus says what became of a message of the business. In a group each
// participant has one.
type whatsappStatus struct {
	ID           optional[stringOrInt] `json:"id"`
	Status       lenientString         `json:"status"`
	Timestamp    timestamp             `json:"timestamp"`
	Recipient    optional[stringOrInt] `json:"recipient_id"`
	Participant  optional[stringOrInt] `json:"recipient_participant_id"`
	UserID       optional[stringOrInt] `json:"recipient_user_id"`
	ParentUserID optional[stringOrInt] `json:"recipient_parent_user_id"`
}

func (c *whatsappChange) decodeStatus(b *batch, item *rawItem) {
	c.addOther(b, item, func(other *event) {
		var s whatsappStatus
		_ = decodeJSON(item.body, &s) // whatever can be read
		other.What, other.timestamp = "status_"+string(cmp.Or(s.Status, "unknown")), s.Timestamp
		other.User = c.user(whatsappSender{cmp.Or(s.Participant.value, s.Recipient.value), s.UserID.value, s.ParentUserID.value})
		if other.MessageID = string(s.ID.value); !s.Participant.present {
			other.id = other.MessageID
		}
	})
}

// decodeEcho decodes a message that the business sent in another way than by this app.
func (c *whatsappChange) decodeEcho(b *batch, item *rawItem) {
	c.addOther(b, item, func(other *event) {
		var echo struct {
			ID        optional[stringOrInt] `json:"id"`
			To        optional[stringOrInt] `json:"to"`
			Timestamp timestamp             `json:"timestamp"`
		}
		_ = decodeJSON(item.body, &echo) // whatever can be read
		other.What, other.id, other.timestamp = "echo", string(echo.ID.value), echo.Timestamp
		other.User, other.MessageID = c.user(whatsappSender{From: echo.To.value}), other.id
	})
}

// addOther adds an item of a list without clicks. One that is not an object says nothing.
func (c *whatsappChange) addOther(b *batch, item *rawItem, describe func(other *event)) {
	e, err := c.newEvent(item, describe)
	if err != nil {
		b.ignore(schema.WhatsApp, 1)
		return
	}
	b.add(e, nil)
}
