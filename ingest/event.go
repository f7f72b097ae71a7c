package ingest

import "github.com/postback-gateway/gateway/schema"

// event is what a decoder reads from one item. [batch.add] completes it: it splits the
// payload and derives what is missing.
type event struct {
	schema.Data
	id        string    // the platform's own; empty if there is none
	timestamp timestamp // as the platform sent it
	body      []byte    // the item as the platform sent it
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
	switch {
	case e.Payload != nil:
		onKeyboard := e.Payload.OnKeyboard
		var route schema.Route
		*e.Payload, route = schema.ParsePayload(e.Payload.Raw)
		e.Payload.OnKeyboard = onKeyboard
		return route
	case e.Kind == schema.KindReferral:
		return schema.RouteReferral(e.ref())
	case e.Kind == schema.KindOptin:
		return schema.RouteOptin(e.ref())
	default:
		_, route := schema.ParsePayload("")
		return route
	}
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
	switch {
	case e.id == "":
		return e.deriveID()
	case e.Channel == schema.ChannelStandby:
		return e.id + schema.StandbySuffix
	default:
		return e.id
	}
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
