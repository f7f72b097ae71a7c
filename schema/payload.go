package schema

import (
	"encoding/json"
	"slices"
)

// Payload is what the bot's developer put behind a button, and its parts by the payload
// rule. Prefix, Action and Rest are the pieces themselves; [Route] has their tokens in the
// subject.
type Payload struct {
	// Raw is the payload exactly as the platform sent it.
	Raw string `json:"raw"`
	// Prefix is the first piece of the payload's name, or the whole name if it is text.
	// It is empty if the payload has no name.
	Prefix string `json:"prefix,omitempty"`
	// Action is the second piece.
	Action string `json:"action,omitempty"`
	// Rest has all other pieces.
	Rest []string `json:"rest,omitempty"`
	// Params is the JSON value or the query (as an object of strings) in the payload. It
	// is nil if there is none, or if [SafeJSON] rejects it. An empty object stays "{}".
	Params json.RawMessage `json:"params,omitzero"`
	// OnKeyboard reports whether a button of the message has this payload. It is nil if
	// the platform does not send the message's buttons. [ParsePayload] does not set it.
	OnKeyboard *bool `json:"on_keyboard,omitempty"`
}

// DecodeParams decodes the params into v, as json.Unmarshal does. Without a payload or
// params it does nothing.
func (p *Payload) DecodeParams(v any) error {
	if p == nil || p.Params == nil {
		return nil
	}
	return json.Unmarshal(p.Params, v)
}

func (p *Payload) raw() string {
	if p == nil {
		return ""
	}
	return p.Raw
}

// Route is the pair of subject tokens that a payload is published under. Both
// are always set and always valid NATS tokens.
type Route struct {
	Prefix string
	Action string
}

// ParsePayload applies payload rule 1 to raw. It returns the parts of the payload and its
// route. It never fails, and the result is the same in every version of the gateway.
func ParsePayload(raw string) (Payload, Route) {
	p := Payload{Raw: raw}
	if raw == "" {
		return p, noRoute
	}
	f := splitParams(raw)
	p.Params = f.params
	if f.name == "" && f.unnamed != "" {
		return p, Route{Prefix: f.unnamed, Action: tokenNone}
	}
	p.Prefix, p.Action, p.Rest = splitName(f.name)
	return p, Route{Prefix: pieceToken(p.Prefix), Action: actionToken(p.Action)}
}

// RouteReferral returns the route of a referral without a payload. Anyone can write a link
// with a ref, so a ref never becomes a prefix: the prefix is reserved, and only the action
// shows the ref.
func RouteReferral(ref string) Route { return reservedRoute(tokenReferral, ref) }

// RouteOptin returns the route of an opt-in without a payload, which is that of its ref
// as in [RouteReferral]. An opt-out has the action stop, and a renewed opt-in resume,
// whatever payload and ref it has.
func RouteOptin(r *Referral) Route {
	if action := r.OptinAction(); action != "" {
		return Route{Prefix: tokenOptin, Action: action}
	}
	return reservedRoute(tokenOptin, r.ref())
}

// RouteIdentity returns the route of an event of [TypeIdentity].
func RouteIdentity() Route { return reservedRoute(tokenIdentity, "") }

// ParseForm returns the payload and the route of what a person entered into a form of
// the kind. The payload has no pieces, because they would show in the subject.
func ParseForm(kind Kind, raw string) (Payload, Route) {
	p := Payload{Raw: raw}
	if json.Valid([]byte(raw)) {
		p.Params = safeParams(raw)
	}
	return p, routeForm(kind)
}

func routeForm(kind Kind) Route { return Route{Prefix: tokenForm, Action: string(kind)} }

// formKinds are the kinds of events that are forms. What a Mini App sent is one if it is JSON.
var formKinds = []Kind{KindFlow, KindForm, KindWebApp}

// IsForm reports whether the payload is what a person entered into a form: see [ParseForm].
func (d *Data) IsForm() bool {
	if d.Kind == KindWebApp {
		return json.Valid([]byte(d.Payload.raw()))
	}
	return slices.Contains(formKinds, d.Kind)
}

// maxRefDigits is how many digits the token of a ref can have. With more, a link for each
// person would be a subject for each person.
const maxRefDigits = 4

// reservedRoute applies step 6 of the rule.
func reservedRoute(reserved, ref string) Route {
	prefix, _, _ := splitName(ref)
	action := pieceToken(prefix)
	if countDigits(action) > maxRefDigits {
		action = tokenID
	}
	return Route{Prefix: reserved, Action: action}
}
