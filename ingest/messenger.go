package ingest

import (
	"cmp"
	"encoding/json"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// fieldPostbacks is the webhook field of postbacks where a delivery names one.
const fieldPostbacks = "messaging_postbacks"

// messengerItem is an item of entry[].messaging and entry[].standby (Messenger
// Platform, "messaging_postbacks" and "standby").
type messengerItem struct {
	Sender    messengerParty            `json:"sender"`
	Recipient messengerParty            `json:"recipient"`
	Timestamp stamp                     `json:"timestamp"`
	Postback  member[messengerPostback] `json:"postback"`
}

type messengerParty struct {
	ID      text `json:"id"`
	UserRef text `json:"user_ref"`
}

type messengerPostback struct {
	MID      text               `json:"mid"`
	Title    string             `json:"title"`
	Payload  string             `json:"payload"`
	Referral *messengerReferral `json:"referral"`
}

// messengerReferral holds what the documents name; ads and plugins add fields,
// and others may come.
type messengerReferral struct {
	Ref    text                      `json:"ref"`
	Source text                      `json:"source"`
	Type   text                      `json:"type"`
	AdID   text                      `json:"ad_id"`
	Extra  map[string]jsontext.Value `json:",embed"`
}

// messengerChange is the form of the dashboard's Test button, bare or as an
// element of entry[].changes: the item of the documents' own sample in a value.
type messengerChange struct {
	Field text          `json:"field"`
	Value messengerItem `json:"value"`
}

// messenger takes an element of a page's delivery apart.
func (b *batch) messenger(e element) {
	item, err := readMessenger(e)
	switch {
	case err != nil && isMessengerPostback(e):
		b.reject(schema.Messenger, schema.ReasonMalformed, e.body, describe(err))
	case err != nil || !item.Postback.present:
		b.ignore(schema.Messenger, 1)
	default:
		b.messengerPostback(e, &item)
	}
}

// errNoPostback is the fault of a change that says it is a postback and has none.
var errNoPostback = errors.New("value/postback is missing")

func readMessenger(e element) (item messengerItem, err error) {
	if e.list == listMessaging || e.list == listStandby {
		err = decode(e.body, &item)
		return item, err
	}
	var change messengerChange
	if err := decode(e.body, &change); err != nil {
		return item, err
	}
	switch {
	case change.Field != fieldPostbacks:
		return item, nil // feed, mention … : no interaction
	case !change.Value.Postback.present:
		return item, errNoPostback
	}
	return change.Value, nil
}

// isMessengerPostback tells of an element that could not be read whether it is a
// click: what is none may look as it likes.
func isMessengerPostback(e element) bool {
	var probe struct {
		Field    jsontext.Value `json:"field"`
		Postback jsontext.Value `json:"postback"`
	}
	if err := decode(e.body, &probe); err != nil {
		return true // cannot be told: better a dead letter than a lost click
	}
	return len(probe.Postback) > 0 || string(probe.Field) == `"`+fieldPostbacks+`"`
}

func (b *batch) messengerPostback(e element, item *messengerItem) {
	postback := &item.Postback.value
	b.add(interaction{
		platform:  schema.Messenger,
		account:   cmp.Or(string(item.Recipient.ID), e.entryID),
		user:      schema.User{ID: string(item.Sender.ID), Ref: string(item.Sender.UserRef)},
		kind:      schema.KindButton,
		channel:   e.channel(),
		title:     postback.Title,
		id:        string(postback.MID),
		timestamp: item.Timestamp,
		payload:   postback.Payload,
		referral:  postback.Referral.normalize(),
		body:      e.body,
	})
}

// normalize leaves out a field that is nested too deeply for an event: the click
// matters more than what no platform has sent yet.
func (r *messengerReferral) normalize() *schema.Referral {
	if r == nil {
		return nil
	}
	out := &schema.Referral{Ref: string(r.Ref), Source: string(r.Source), Type: string(r.Type), AdID: string(r.AdID)}
	for name, value := range r.Extra {
		foreign, err := schema.Foreign(value)
		if err != nil {
			continue
		}
		if out.Extra == nil {
			out.Extra = make(map[string]json.RawMessage, len(r.Extra))
		}
		out.Extra[name] = foreign
	}
	return out
}
