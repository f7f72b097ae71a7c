package ingest

import "github.com/postback-gateway/gateway/schema"

// event is what a decoder reads from one item. [batch.add] completes it: it splits the
// payload and derives what is missing. Platform and body are always set.
type event struct {
	schema.Data           // without a kind if the item is not a click
	id          string    // the platform's own; empty if there is none
	timestamp   timestamp // as the platform sent it
	body        []byte    // the item as the platform sent it
	origin      schema.Origin
	note        string // what the detail of a dead letter starts with; usually empty
	// describe sets What and what else is known about the item if it is not a click, in a
	// new event with the same platform, account and channel.
	describe func(other *event)
}

// newPayload returns a payload that is not split yet; nil if there is none.
func newPayload(raw string) *schema.Payload {
	if raw == "" {
		return nil
	}
	return &schema.Payload{Raw: raw}
}

// parsePayload splits the payload and returns the route. An event without a payload is
// routed by its kind.
func (e *event) parsePayload() schema.Route {
	route := e.splitPayload()
	switch {
	case e.Kind == schema.KindOptin && (e.Payload == nil || e.Referral.OptinAction() != ""):
		return schema.RouteOptin(e.Referral)
	case e.Kind == schema.KindIdentity:
		return schema.RouteIdentity()
	case e.Kind == schema.KindReferral && e.Payload == nil:
		return schema.RouteReferral(e.ref())
	default:
		return route
	}
}

func (e *event) splitPayload() schema.Route {
	var before schema.Payload
	if e.Payload != nil {
		before = *e.Payload
	}
	payload, route := schema.ParsePayload(before.Raw)
	if e.IsForm() {
		payload, route = schema.ParseForm(e.Kind, before.Raw)
	}
	if e.Payload != nil {
		payload.OnKeyboard = before.OnKeyboard
		*e.Payload = payload
	}
	return route
}

func (e *event) ref() string {
	if e.Referral == nil {
		return ""
	}
	return e.Referral.Ref
}

// eventID returns the same id for every delivery of the item. One message can come on
// two channels and is two events then, because only one has a payload.
func (e *event) eventID() string {
	id := e.id
	switch {
	case e.What != "":
		id = e.otherID()
	case id == "":
		return e.deriveID()
	}
	if e.Channel == schema.ChannelStandby {
		return id + schema.StandbySuffix
	}
	return id
}

func (e *event) deriveID() string {
	identity := schema.Identity{
		Platform: e.Platform, Account: e.Account.ID, User: e.User, Timestamp: string(e.timestamp),
		Kind: e.Kind, Ref: e.ref(), MessageID: e.MessageID,
	}
	if e.Payload != nil {
		identity.Payload = e.Payload.Raw
	}
	return schema.DeriveID(identity)
}
