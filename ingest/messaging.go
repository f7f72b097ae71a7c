package ingest

import (
	"cmp"
	"encoding/json"
	"errors"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// The messaging item: Messenger and Instagram deliver it in the same form. It is one
// thing that a person did, a receipt, or an echo of the account's own message. It comes
// as an item of entry[].messaging or entry[].standby, as the value of a change of
// entry[].changes, and as the value of the dashboard's sample.

// Some of the webhook fields. WhatsApp has the first two as well.
const (
	fieldMessages          = "messages"
	fieldStandby           = "standby"            // another app's conversation
	fieldInstagramReferral = "messaging_referral" // Messenger's has an s
	fieldCallPermission    = "call_permission_reply"
)

// messagingFields are the webhook fields whose change is a messaging item. The error is
// what is wrong if the item is not an event; nil if it need not be one.
var messagingFields = map[string]error{
	"messaging_postbacks":  errors.New("value/postback is missing"),
	"messaging_referrals":  errNoReferral,
	fieldInstagramReferral: errNoReferral,
	"messaging_optins":     errors.New("value/optin is missing"),
	fieldCallPermission:    nil,
	fieldMessages:          nil,
	fieldStandby:           nil,
}

var (
	errNoReferral = errors.New("value/referral is missing")
	errNoField    = errors.New("field is missing")
)

// messagingItem is what an event needs of an item. Rare parts are behind pointers, to
// keep the usual item small.
type messagingItem struct {
	Sender    messagingParty             `json:"sender"`
	Recipient messagingParty             `json:"recipient"`
	Timestamp timestamp                  `json:"timestamp"`
	Postback  object[messagingPostback]  `json:"postback"`
	Message   messagingMessage           `json:"message"`
	Optin     object[*messagingOptin]    `json:"optin"`
	Referral  object[*messagingReferral] `json:"referral"`

	CallPermission *map[string]jsontext.Value      `json:"call_permission_reply"`
	PriorMessage   optional[messagingPriorMessage] `json:"prior_message"`
}

// messagingPriorMessage says as whom the bot knew the person when it wrote first. It is
// the only place where a user_ref and the person's id come together.
type messagingPriorMessage struct {
	Source     stringOrInt `json:"source"`
	Identifier stringOrInt `json:"identifier"`
}

type messagingParty struct {
	ID      stringOrInt `json:"id"`
	UserRef stringOrInt `json:"user_ref"`
}

type messagingPostback struct {
	MID      stringOrInt        `json:"mid"`
	Title    string             `json:"title"`
	Payload  string             `json:"payload"`
	Referral *messagingReferral `json:"referral"`
}

type messagingMessage struct {
	MID        stringOrInt                 `json:"mid"`
	Text       string                      `json:"text"`
	IsEcho     bool                        `json:"is_echo"`
	QuickReply object[messagingQuickReply] `json:"quick_reply"`
	Referral   *messagingReferral          `json:"referral"`
}

type messagingQuickReply struct {
	Payload string `json:"payload"`
}

// messagingOptin is a referral with more fields. Platform fields, such as the token for
// writing to the person later, are next to the ref.
type messagingOptin struct {
	UserRef  stringOrInt       `json:"user_ref"`
	Title    string            `json:"title"`
	Payload  string            `json:"payload"`
	Referral messagingReferral `json:",embed"`
}

// messagingReferral has the documented fields. Ads and plugins add others.
type messagingReferral struct {
	Ref    stringOrInt               `json:"ref"`
	Source stringOrInt               `json:"source"`
	Type   stringOrInt               `json:"type"`
	AdID   stringOrInt               `json:"ad_id"`
	Extra  map[string]jsontext.Value `json:",embed"`
}

// messagingChange is the form in entry[].changes and in the sample.
type messagingChange struct {
	Field string        `json:"field"`
	Value messagingItem `json:"value"`
}

// messagingChanges are reused. An event takes copies from them.
var messagingChanges = sync.Pool{New: func() any { return new(messagingChange) }}

// decodeMessaging decodes an item, or a change with one.
func decodeMessaging(b *batch, item *rawItem, p *metaPlatform) {
	e := event{body: item.body, describe: item.describe, origin: item}
	e.Platform = p.name
	switch item.list {
	case listCalls, listEntry, listDelivery:
		b.add(&e, nil)
		return
	}
	change := messagingChanges.Get().(*messagingChange)
	defer messagingChanges.Put(change)
	*change = messagingChange{}
	err := change.read(item)
	switch {
	case err == nil:
		change.Value.fill(&e)
		e.Account.ID = p.account(item.entryID, string(change.Value.Recipient.ID))
		e.Channel = item.channel()
		if item.list == listChanges && change.Field == fieldStandby {
			e.Channel = schema.ChannelStandby
		}
		if e.Kind == "" {
			err = messagingFields[change.Field]
		}
	case !mayBeEvent(item):
		err = nil
	}
	b.add(&e, err)
}

// read decodes an item. One without a change around it is read as a change without a
// field.
func (c *messagingChange) read(item *rawItem) error {
	if !item.isChange() {
		return decodeJSON(item.body, &c.Value)
	}
	if err := decodeJSON(item.body, c); err != nil {
		return err
	}
	if c.Field == "" {
		return errNoField
	}
	if _, known := messagingFields[c.Field]; !known {
		c.Value = messagingItem{} // feed, comments … : not a messaging item
	}
	return nil
}

// isChange reports whether the item is a change around a messaging item.
func (item *rawItem) isChange() bool { return item.list != listMessaging && item.list != listStandby }

// fill sets what the person did. The kind stays empty if the item is not an event. An item
// is about one thing; of several, the first in this order is used. A referral next to it
// says how the person came.
func (i *messagingItem) fill(e *event) {
	prior := i.PriorMessage.value
	e.User = schema.User{ID: string(i.Sender.ID), Ref: string(cmp.Or(i.Sender.UserRef, prior.Identifier))}
	e.PriorSource, e.timestamp = string(prior.Source), i.Timestamp
	if i.Message.IsEcho {
		i.Message = messagingMessage{} // the account's own message, not a person's
	}
	postback, message := &i.Postback.value, &i.Message
	referral := cmp.Or(message.Referral, i.Referral.value)
	switch {
	case i.Postback.present:
		e.Kind, e.Title, e.Payload = schema.KindButton, postback.Title, newPayload(postback.Payload)
		e.id, e.Referral = string(postback.MID), cmp.Or(postback.Referral, referral).normalize()
	case message.QuickReply.present:
		e.Kind, e.Title, e.Payload = schema.KindQuickReply, message.Text, newPayload(message.QuickReply.value.Payload)
		e.id, e.Referral = string(message.MID), referral.normalize()
	case i.CallPermission != nil:
		e.Kind, e.Referral = schema.KindOptin, &schema.Referral{Type: schema.OptinCallPermission, Extra: safeFields(*i.CallPermission)}
	case i.Optin.present:
		optin := i.Optin.value
		e.Kind, e.Title, e.Payload = schema.KindOptin, optin.Title, newPayload(optin.Payload)
		e.User.Ref, e.Referral = cmp.Or(string(optin.UserRef), e.User.Ref), optin.referral()
	case referral != nil:
		// Only this message says that a person came by a link or an ad and wrote. What
		// they wrote is not a title.
		e.Kind, e.id, e.Referral = schema.KindReferral, string(message.MID), referral.normalize()
	}
	e.MessageID = e.id
}

// optinStatuses are the values of notification_messages_status that say what an opt-in
// is about. The platform's own type is among the extra fields then.
var optinStatuses = map[lenientString]string{
	"STOP_NOTIFICATIONS":   schema.OptinStop,
	"RESUME_NOTIFICATIONS": schema.OptinResume,
}

// referral returns nil for an opt-in that names only the person and the payload.
func (o *messagingOptin) referral() *schema.Referral {
	r := o.Referral.normalize()
	var status lenientString
	_ = decodeJSON(r.Extra["notification_messages_status"], &status) // empty if it is missing
	if sort := optinStatuses[status]; sort != "" {
		r.Extra["type"], _ = json.Marshal(r.Type) // a string cannot fail
		r.Type = sort
	}
	if r.Ref == "" && r.Source == "" && r.Type == "" && r.AdID == "" && len(r.Extra) == 0 {
		return nil
	}
	return r
}

func (r *messagingReferral) normalize() *schema.Referral {
	if r == nil {
		return nil
	}
	return &schema.Referral{
		Ref: string(r.Ref), Source: string(r.Source), Type: string(r.Type), AdID: string(r.AdID),
		Extra: safeFields(r.Extra),
	}
}

// safeFields leaves out fields that are not safe inside an event: the click matters
// more than a field that no platform has sent yet.
func safeFields(fields map[string]jsontext.Value) map[string]json.RawMessage {
	var out map[string]json.RawMessage
	for name, value := range fields {
		safe, err := schema.SafeJSON(value)
		if err != nil {
			continue
		}
		if out == nil {
			out = make(map[string]json.RawMessage, len(fields))
		}
		out[name] = safe
	}
	return out
}

// mayBeEvent reports whether an item that could not be decoded says that it is an
// event, or cannot say what it is. A dead letter is better than a lost click.
func mayBeEvent(item *rawItem) bool {
	if !item.isChange() {
		return itemMayBeEvent(item.body)
	}
	var change struct {
		Field string         `json:"field"`
		Value jsontext.Value `json:"value"`
	}
	if decodeJSON(item.body, &change) != nil || change.Field == "" {
		return true
	}
	fault, known := messagingFields[change.Field]
	return known && (fault != nil || itemMayBeEvent(change.Value))
}

func itemMayBeEvent(item []byte) bool {
	var members struct {
		Postback jsontext.Value `json:"postback"`
		Message  jsontext.Value `json:"message"`
		Optin    jsontext.Value `json:"optin"`
		Referral jsontext.Value `json:"referral"`

		CallPermission jsontext.Value `json:"call_permission_reply"`
	}
	switch {
	case decodeJSON(item, &members) != nil:
		return true
	case len(members.Postback) > 0, len(members.Optin) > 0, len(members.Referral) > 0, isPresent(members.CallPermission):
		return true
	default:
		return len(members.Message) > 0 && messageMayBeEvent(members.Message)
	}
}

func messageMayBeEvent(message []byte) bool {
	var members struct {
		IsEcho     jsontext.Value `json:"is_echo"`
		QuickReply jsontext.Value `json:"quick_reply"`
		Referral   jsontext.Value `json:"referral"`
	}
	if decodeJSON(message, &members) != nil {
		return true
	}
	return string(members.IsEcho) != "true" && (len(members.QuickReply) > 0 || isPresent(members.Referral))
}
