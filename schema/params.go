package schema

import (
	"encoding/json"
	"strings"
	"unicode"
)

// nameKeys are the members that can be the name of a JSON object or a query, in the order
// of preference and in any letter case.
var nameKeys = []string{"action", "type", "event", "command", "intent", "name", "payload"}

// form is a payload split into its name and its params.
type form struct {
	name    string
	unnamed string // the prefix token if the params have no name
	params  json.RawMessage
}

// signsOfParams are characters of which each form has at least one.
const signsOfParams = `{["=(`

// splitParams applies step 2 of the rule. A payload without params is only a name.
func splitParams(raw string) form {
	if !strings.ContainsAny(raw, signsOfParams) { // as nearly all payloads
		return form{name: raw}
	}
	for _, parse := range []func(string) (form, bool){jsonForm, suffixForm, queryForm, callForm} {
		if f, ok := parse(raw); ok {
			return f
		}
	}
	return form{name: raw}
}

// chooseName returns the value of the first of nameKeys that find returns one for.
func chooseName(find func(key string) string) string {
	for _, key := range nameKeys {
		if name := find(key); name != "" {
			return name
		}
	}
	return ""
}

// callForm reads a call as chat frameworks write it: /SetSlots(city=New York, n=2).
func callForm(raw string) (form, bool) {
	arguments, closed := strings.CutSuffix(raw, ")")
	// Arguments have no parentheses, so the last one opens the call.
	open := strings.LastIndexByte(arguments, '(')
	if !closed || open <= 0 || strings.ContainsFunc(raw[:open], isBlank) {
		return form{}, false
	}
	pairs, ok := parseArguments(arguments[open+1:])
	return form{name: raw[:open], params: pairs.object()}, ok
}

// isBlank reports whether a character is white space and not a separator.
func isBlank(r rune) bool { return unicode.IsSpace(r) && !isSeparator(r) }

// parseArguments reads k=v pairs joined by commas, or nothing.
func parseArguments(s string) (query, bool) {
	if strings.Trim(s, " ") == "" {
		return nil, true
	}
	var pairs query
	for argument := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(argument, "=")
		key = strings.Trim(key, " ")
		if key == "" || keyLength(key) < len(key) || !strings.Contains(argument, "=") || strings.ContainsAny(value, "()=") {
			return nil, false
		}
		pairs = append(pairs, pair{key, unquote(strings.Trim(value, " "))})
	}
	return pairs, true
}

// unquote removes one pair of quotes around a value.
func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}
