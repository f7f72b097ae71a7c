package ingest

import (
	"cmp"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// otherItem has what the items that are not clicks have in common. Nothing of it is
// required.
type otherItem struct {
	ID        optional[stringOrInt]    `json:"id"`
	Sender    optional[messagingParty] `json:"sender"`
	Recipient optional[messagingParty] `json:"recipient"`
	From      jsontext.Value           `json:"from"`
	To        optional[stringOrInt]    `json:"to"`
	Timestamp timestamp                `json:"timestamp"`
	Event     lenientString            `json:"event"` // of a call
	Message   optional[otherMessage]   `json:"message"`
}

// sampleEntryID is the id of the entry around a sample of the Test button.
const sampleEntryID = "0"

type otherMessage struct {
	MID    stringOrInt `json:"mid"`
	IsEcho bool        `json:"is_echo"`
}

// describe sets what is known about an item that is not a click.
func (item *rawItem) describe(e *event) {
	e.Channel, e.Account.ID = item.channel(), item.entryID
	switch item.list {
	case listMessaging, listStandby:
		e.describeMessaging(item.body)
		e.What = cmp.Or(e.What, item.list)
	case listCalls:
		e.describeCall(item.body)
	case listEntry, listDelivery:
		what, _ := tellingMember(item.body, "id", "time", "object")
		e.What = cmp.Or(what, item.list)
	default:
		e.describeChange(item.body)
	}
}

// describeChange names a change by its field, and one with messages by what it has.
func (e *event) describeChange(body []byte) {
	var change struct {
		Field lenientString  `json:"field"`
		Value jsontext.Value `json:"value"`
	}
	_ = decodeJSON(body, &change) // whatever can be read
	if change.Field == fieldStandby && e.Channel == schema.ChannelPrimary {
		e.Channel = schema.ChannelStandby
	}
	_, hasMessages := messagingFields[string(change.Field)]
	e.What = ""
	if change.Value.Kind() == '{' {
		isMessaging := e.describeMessaging(change.Value)
		hasMessages = hasMessages || isMessaging
	}
	if !hasMessages || e.What == "" {
		e.What = cmp.Or(string(change.Field), "change")
	}
}

// commonMembers do not say what an item, or the value of a change, is about.
var commonMembers = []string{
	"sender", "recipient", "timestamp", "prior_message", // of messaging items
	"messaging_product", "metadata", "contacts", // of WhatsApp
}

// describeMessaging sets what a messaging item says. What the account sent itself is an
// echo, and its recipient the person. It reports whether body is one: the value of a change
// can be anything.
func (e *event) describeMessaging(body []byte) (isMessaging bool) {
	var i otherItem
	_ = decodeJSON(body, &i) // whatever can be read
	e.What, _ = tellingMember(body, commonMembers...)
	e.timestamp = i.Timestamp
	person, account := i.Sender.value, string(i.Recipient.value.ID)
	if message := i.Message.value; i.Message.present {
		e.id, e.MessageID = string(message.MID), string(message.MID)
		if message.IsEcho {
			e.What, person, account = "echo", i.Recipient.value, string(i.Sender.value.ID)
		}
	}
	if e.Account.ID == "" || e.Account.ID == sampleEntryID {
		e.Account.ID = cmp.Or(account, e.Account.ID)
	}
	e.User = schema.User{ID: string(person.ID), Ref: string(person.UserRef)}
	if e.User.ID == "" { // a comment, a post
		var from messagingParty
		_ = decodeJSON(i.From, &from)
		e.User.ID = string(from.ID)
	}
	return i.Sender.present || i.Recipient.present
}

// describeCall sets what a call on Messenger says. The account can be on either side.
func (e *event) describeCall(body []byte) {
	var i otherItem
	_ = decodeJSON(body, &i) // whatever can be read
	var from stringOrInt
	_ = decodeJSON(i.From, &from)
	e.What, e.id, e.timestamp = "call_"+string(cmp.Or(i.Event, "update")), string(i.ID.value), i.Timestamp
	e.User.ID = string(from)
	if e.User.ID == e.Account.ID {
		e.User.ID = string(i.To.value)
	}
}
