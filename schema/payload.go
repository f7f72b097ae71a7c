package schema

import (
	"encoding/json"
	"strings"
	"unicode"
)

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
	// payload carried; nil where it carried none. An empty object stays "{}".
	Params json.RawMessage `json:"params,omitzero"`
	// OnKeyboard tells whether a button of the message has this payload. It is nil
	// where the platform does not show the message's buttons; [ParsePayload] leaves
	// it so.
	OnKeyboard *bool `json:"on_keyboard,omitempty"`
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
	return p, Route{Prefix: pieceToken(p.Prefix), Action: pieceToken(p.Action)}
}

// RouteReferral returns the route of a referral that came without a payload of
// the bot's own. Anyone can write a link with a ref, so it is kept apart from
// the bot's own prefixes: the prefix is reserved and only the action tells the ref.
func RouteReferral(ref string) Route { return reservedRoute(tokenReferral, ref) }

// RouteOptin is [RouteReferral] for an opt-in without a payload.
func RouteOptin(ref string) Route { return reservedRoute(tokenOptin, ref) }

func reservedRoute(reserved, ref string) Route {
	prefix, _, _ := splitName(ref)
	return Route{Prefix: reserved, Action: pieceToken(prefix)}
}

// splitName takes a name apart (steps 3 and 4 of the rule).
func splitName(name string) (prefix, action string, rest []string) {
	if isText(name) {
		return name, "", nil
	}
	pieces := strings.FieldsFunc(name, isSeparator)
	switch len(pieces) {
	case 0:
		return "", "", nil
	case 1:
		prefix, action = cutTail(pieces[0])
		return prefix, action, nil
	case 2:
		return pieces[0], pieces[1], nil
	default:
		return pieces[0], pieces[1], pieces[2:]
	}
}

// isText tells whether a name is something a person reads rather than something
// a program wrote: it holds white space or a control character that no known
// bot framework uses as a separator.
func isText(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool {
		return (unicode.IsSpace(r) || unicode.IsControl(r)) && !isSeparator(r)
	})
}

// isSeparator: all ASCII punctuation but _ and -, and the two control characters
// that bot frameworks put between the parts of a payload.
func isSeparator(r rune) bool {
	switch {
	case r == '_', r == '-':
		return false
	case r == '\f', r == '\x1d':
		return true
	default:
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
}

// cutTail cuts the longest tail that is a number or an id from a name of one
// piece, as in add_to_cart_42, so that it does not multiply the prefixes.
func cutTail(piece string) (prefix, tail string) {
	if isID(piece) {
		return piece, ""
	}
	for i := 1; i < len(piece); i++ {
		if c := piece[i]; c != '_' && c != '-' {
			continue
		}
		if t := piece[i+1:]; isDigits(t) || isUUID(t) || len(t) >= 16 && isHex(t) {
			return piece[:i], t
		}
	}
	return piece, ""
}
