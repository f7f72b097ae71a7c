package schema

import "encoding/json"

// Payload is what the bot's developer put behind a button, and what the payload
// rule made of it. Prefix, Action and Rest are the pieces themselves; the tokens
// of the subject that stand for them are in [Route].
type Payload struct {
	// Raw is the payload exactly as the platform sent it.
	Raw string `json:"raw"`
	// Prefix is the first piece of the payload's name, the whole name where it
	// is text, or empty where there is none.
	Prefix string `json:"prefix,omitempty"`
	// Action is the second piece.
	Action string `json:"action,omitempty"`
	// Rest holds every further piece.
	Rest []string `json:"rest,omitempty"`
	// Params is the JSON value or the query (as an object of strings) that the
	// payload carried; nil where it carried none, or one that [SafeJSON] refuses. An
	// empty object stays "{}".
	Params json.RawMessage `json:"params,omitzero"`
	// OnKeyboard tells whether a button of the message has this payload. It is nil
	// where the platform does not show the message's buttons; [ParsePayload] leaves
	// it so.
	OnKeyboard *bool `json:"on_keyboard,omitempty"`
}

// DecodeParams decodes the params into v, as json.Unmarshal does. Without a payload
// or without params v stays as it is.
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

// ParsePayload applies payload rule 1 to raw and returns its pieces and the
// tokens they are routed by. It never fails: every string has a place. The same
// string gives the same result in every version of the gateway.
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

// RouteReferral returns the route of a referral without a payload of the bot's
// own. Anyone can write a link with a ref. So the ref never reaches the prefixes
// of the bot: the prefix is reserved and only the action shows the ref.
func RouteReferral(ref string) Route { return reservedRoute(tokenReferral, ref) }

// RouteOptin is [RouteReferral] for an opt-in without a payload.
func RouteOptin(ref string) Route { return reservedRoute(tokenOptin, ref) }

// maxRefDigits is how many digits the token of a ref may have: with more, a link
// per person would be a subject per person.
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
