package ingest

import (
	"cmp"
	"encoding/json"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// The messaging item: what Messenger and Instagram deliver in the same shape. It
// is one thing that a person did, or a receipt, or an echo of the account's own
// message. It comes in three forms: as an item of entry[].messaging or
// entry[].standby, as the value of a change of entry[].changes, and as the value
// of the dashboard's bare sample.

// dialect is what differs between the platforms that deliver messaging items.
type dialect struct {
	platform string
	// account tells which of the two ids is the account's.
	account func(entryID, recipientID string) string
}

// The webhook fields with a name of their own here; the first two are WhatsApp's too.
const (
	fieldMessages          = "messages"
	fieldStandby           = "standby"            // what happens in another app's conversation
	fieldInstagramReferral = "messaging_referral" // Messenger's has an s
)

// messagingFields are the webhook fields whose change is a messaging item, each
// with the fault of one that holds no interaction; nil where it need not.
var messagingFields = map[string]error{
	"messaging_postbacks":  errors.New("value/postback is missing"),
	"messaging_referrals":  errNoReferral,
	fieldInstagramReferral: errNoReferral,
	"messaging_optins":     errors.New("value/optin is missing"),
	fieldMessages:          nil,
	fieldStandby:           nil,
}

var (
	errNoReferral = errors.New("value/referral is missing")
	errNoField    = errors.New("field is missing")
)

// messagingItem holds what an event needs of an item. What is rare is behind a
// pointer, which keeps the usual item small.
type messagingItem struct {
	Sender    messagingParty             `json:"sender"`
	Recipient messagingParty             `json:"recipient"`
	Timestamp stamp                      `json:"timestamp"`
	Postback  member[messagingPostback]  `json:"postback"`
	Message   messagingMessage           `json:"message"`
	Optin     member[*messagingOptin]    `json:"optin"`
	Referral  member[*messagingReferral] `json:"referral"`
}

type messagingParty struct {
	ID      text `json:"id"`
	UserRef text `json:"user_ref"`
}

type messagingPostback struct {
	MID      text               `json:"mid"`
	Title    string             `json:"title"`
	Payload  string             `json:"payload"`
	Referral *messagingReferral `json:"referral"`
}

type messagingMessage struct {
	MID        text                        `json:"mid"`
	Text       string                      `json:"text"`
	IsEcho     bool                        `json:"is_echo"`
	QuickReply member[messagingQuickReply] `json:"quick_reply"`
	Referral   *messagingReferral          `json:"referral"`
}

type messagingQuickReply struct {
	Payload string `json:"payload"`
}

// messagingOptin is a referral with more: what is not of the bot's own, like the
// token by which a person can be written to later, stands beside the ref.
type messagingOptin struct {
	UserRef  text              `json:"user_ref"`
	Title    string            `json:"title"`
	Payload  string            `json:"payload"`
	Referral messagingReferral `json:",embed"`
}

// messagingReferral holds what the documents name; ads and plugins add fields,
// and others may come.
type messagingReferral struct {
	Ref    text                      `json:"ref"`
	Source text                      `json:"source"`
	Type   text                      `json:"type"`
	AdID   text                      `json:"ad_id"`
	Extra  map[string]jsontext.Value `json:",embed"`
}

// messagingChange is the form in entry[].changes and in the bare sample.
type messagingChange struct {
	Field string        `json:"field"`
	Value messagingItem `json:"value"`
}

// messaging takes an element that is a messaging item apart.
func (b *batch) messaging(e element, d *dialect) {
	var change messagingChange
	if err := change.read(e); err != nil {
		b.unreadable(e, d, err)
		return
	}
	item := &change.Value
	found, ok := item.interaction()
	if !ok {
		if fault := messagingFields[change.Field]; fault != nil {
			b.reject(d.platform, schema.ReasonMalformed, e.body, fault.Error())
			return
		}
		b.ignore(d.platform, 1)
		return
	}
	found.platform = d.platform
	found.account = d.account(e.entryID, string(item.Recipient.ID))
	found.user.ID = string(item.Sender.ID)
	found.user.Ref = cmp.Or(found.user.Ref, string(item.Sender.UserRef))
	found.channel = e.channel()
	if e.list == listChanges && change.Field == fieldStandby {
		found.channel = schema.ChannelStandby
	}
	found.timestamp = item.Timestamp
	found.body = e.body
	b.add(found)
}

// read decodes an element. An item that stands in a list of its own is read as the
// value of a change without a field.
func (c *messagingChange) read(e element) error {
	if e.isItem() {
		return decode(e.body, &c.Value)
	}
	if err := decode(e.body, c); err != nil {
		return err
	}
	if c.Field == "" {
		return errNoField
	}
	if _, known := messagingFields[c.Field]; !known {
		c.Value = messagingItem{} // feed, comments … : whatever it is, it is no messaging item
	}
	return nil
}

// isItem tells whether the element is an item itself, and not a change around one.
func (e element) isItem() bool { return e.list == listMessaging || e.list == listStandby }

// interaction returns what the person did, if the item is about that. An item is
// about one thing; where it holds several the first of this order counts, and a
// referral beside it tells how the person came to do it.
func (i *messagingItem) interaction() (found interaction, ok bool) {
	if i.Message.IsEcho {
		i.Message = messagingMessage{} // the account's own, which is nothing that a person did
	}
	postback, message, optin := &i.Postback.value, &i.Message, i.Optin.value
	referral := cmp.Or(message.Referral, i.Referral.value)
	switch {
	case i.Postback.present:
		return interaction{
			kind: schema.KindButton, id: string(postback.MID), title: postback.Title, payload: postback.Payload,
			referral: cmp.Or(postback.Referral, referral).normalize(),
		}, true
	case message.QuickReply.present:
		return interaction{
			kind: schema.KindQuickReply, id: string(message.MID), title: message.Text, payload: message.QuickReply.value.Payload,
			referral: referral.normalize(),
		}, true
	case i.Optin.present:
		return interaction{
			kind: schema.KindOptin, user: schema.User{Ref: string(optin.UserRef)}, title: optin.Title, payload: optin.Payload,
			referral: optin.referral(),
		}, true
	case referral != nil:
		// A person who comes by a link or an ad and writes is told of here and
		// nowhere else: the words are no title.
		return interaction{kind: schema.KindReferral, id: string(message.MID), referral: referral.normalize()}, true
	default:
		return interaction{}, false
	}
}

// referral is nothing for an opt-in that says no more than who and which payload.
func (o *messagingOptin) referral() *schema.Referral {
	r := o.Referral.normalize()
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
		Extra: foreignFields(r.Extra),
	}
}

// foreignFields leaves out a field that is not safe inside an event: the click matters
// more than what no platform has sent yet.
func foreignFields(fields map[string]jsontext.Value) map[string]json.RawMessage {
	var out map[string]json.RawMessage
	for name, value := range fields {
		foreign, err := schema.Foreign(value)
		if err != nil {
			continue
		}
		if out == nil {
			out = make(map[string]json.RawMessage, len(fields))
		}
		out[name] = foreign
	}
	return out
}

// unreadable keeps an element that could not be read where it is an interaction,
// or where that cannot be told: better a dead letter than a lost click. What is
// none may look as it likes.
func (b *batch) unreadable(e element, d *dialect, fault error) {
	if mayInteract(e) {
		b.reject(d.platform, schema.ReasonMalformed, e.body, describe(fault))
		return
	}
	b.ignore(d.platform, 1)
}

// mayInteract looks at no more of an element than what makes it an interaction.
func mayInteract(e element) bool {
	if e.isItem() {
		return itemMayInteract(e.body)
	}
	var change struct {
		Field string         `json:"field"`
		Value jsontext.Value `json:"value"`
	}
	if decode(e.body, &change) != nil || change.Field == "" {
		return true
	}
	fault, known := messagingFields[change.Field]
	return known && (fault != nil || itemMayInteract(change.Value))
}

func itemMayInteract(item []byte) bool {
	var probe struct {
		Postback jsontext.Value `json:"postback"`
		Message  jsontext.Value `json:"message"`
		Optin    jsontext.Value `json:"optin"`
		Referral jsontext.Value `json:"referral"`
	}
	switch {
	case decode(item, &probe) != nil:
		return true
	case len(probe.Postback) > 0, len(probe.Optin) > 0, len(probe.Referral) > 0:
		return true
	default:
		return len(probe.Message) > 0 && messageMayInteract(probe.Message)
	}
}

func messageMayInteract(message []byte) bool {
	var probe struct {
		IsEcho     jsontext.Value `json:"is_echo"`
		QuickReply jsontext.Value `json:"quick_reply"`
		Referral   jsontext.Value `json:"referral"`
	}
	if decode(message, &probe) != nil {
		return true
	}
	return string(probe.IsEcho) != "true" && (len(probe.QuickReply) > 0 || len(probe.Referral) > 0 && probe.Referral.Kind() != 'n')
}
