package schema

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"
)

// nameKeys are the members that name a payload which is a JSON object or a
// query, in the order in which they are looked for.
var nameKeys = []string{"action", "type", "event", "command", "intent", "name", "payload"}

// form is a payload taken apart into the name that routes it and its params.
type form struct {
	name    string
	unnamed string // the prefix token where the params hold no name
	params  json.RawMessage
}

// splitParams applies step 2 of the rule. A payload of none of its forms is all name.
func splitParams(raw string) form {
	if raw[0] == '{' || isJSONSpace(raw[0]) {
		if f, ok := jsonForm(raw); ok {
			return f
		}
	}
	if i := jsonSuffix(raw); i > 0 {
		name := raw[:i]
		if len(name) > 1 {
			name = strings.TrimSuffix(name, ":")
		}
		return form{name: name, params: embed(raw[i:])}
	}
	if f, ok := queryForm(raw); ok {
		return f
	}
	return form{name: raw}
}

// jsonForm reads a payload that is a JSON object and nothing else.
func jsonForm(raw string) (form, bool) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &members); err != nil || members == nil {
		return form{}, false
	}
	f := form{unnamed: tokenJSON, params: embed(raw)}
	f.name = chooseName(func(key string) string {
		var s string
		if member := members[key]; len(member) > 0 && member[0] == '"' {
			// It is a valid string: the whole object was just read.
			_ = json.Unmarshal(member, &s)
		}
		return s
	})
	return f, true
}

func chooseName(value func(key string) string) string {
	for _, key := range nameKeys {
		if name := value(key); name != "" {
			return name
		}
	}
	return ""
}

// jsonSuffix returns where the JSON object or array starts that raw ends with,
// or -1. It walks back from the closing bracket to its opening one, which is the
// only place where such a value can begin; so the work is linear however many
// brackets a hostile payload holds.
func jsonSuffix(raw string) int {
	end := len(raw)
	for end > 0 && isJSONSpace(raw[end-1]) {
		end--
	}
	if end == 0 || raw[end-1] != '}' && raw[end-1] != ']' {
		return -1
	}
	depth := 0
	for i := end - 1; i >= 0; i-- {
		switch raw[i] {
		case '}', ']':
			depth++
		case '{', '[':
			if depth--; depth == 0 {
				if json.Valid([]byte(raw[i:])) {
					return i
				}
				return -1
			}
		case '"':
			if i = openingQuote(raw, i); i < 0 {
				return -1
			}
		}
	}
	return -1
}

// openingQuote returns the quote that opens the string closed at i, or -1: the
// nearest one before it with an even number of backslashes in front.
func openingQuote(raw string, i int) int {
	for i = strings.LastIndexByte(raw[:i], '"'); i >= 0; i = strings.LastIndexByte(raw[:i], '"') {
		before := strings.TrimRight(raw[:i], `\`)
		if (i-len(before))%2 == 0 {
			return i
		}
	}
	return -1
}

// queryForm reads name?k=v&k=v, or k=v&k=v alone.
func queryForm(raw string) (form, bool) {
	for i := 1; i < len(raw); i++ {
		if raw[i] != '?' {
			continue
		}
		if pairs, ok := parsePairs(raw[i+1:]); ok {
			return form{name: raw[:i], params: pairs.object()}, true
		}
	}
	pairs, ok := parsePairs(raw)
	if !ok || len(pairs) == 1 && pairs[0].value == "" {
		return form{}, false
	}
	return form{name: chooseName(pairs.get), unnamed: tokenQuery, params: pairs.object()}, true
}

type pair struct{ key, value string }

type query []pair

// parsePairs reads k=v pairs joined by &. It is no url.ParseQuery: that one
// takes any text for a query, and drops a pair with a stray % in it.
func parsePairs(s string) (query, bool) {
	var pairs query
	for more := true; more; {
		n := keyLength(s)
		if n == 0 || n == len(s) || s[n] != '=' {
			return nil, false
		}
		key := s[:n]
		s = s[n+1:]
		if n = strings.IndexAny(s, "&="); n < 0 {
			n, more = len(s), false
		} else if s[n] == '=' {
			return nil, false
		}
		pairs = append(pairs, pair{key, decodeQuery(s[:n])})
		if more {
			s = s[n+1:]
		}
	}
	return pairs, true
}

// keyLength returns how much of the beginning of s is a key: [A-Za-z_][A-Za-z0-9_-]*.
func keyLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && c != '_' && (i == 0 || !isDigit(c) && c != '-') {
			return i
		}
	}
	return len(s)
}

func (q query) get(key string) string {
	for _, p := range q {
		if p.key == key {
			return p.value
		}
	}
	return ""
}

// object returns the pairs as a JSON object of strings, in their order; the
// first of a repeated key counts.
func (q query) object() json.RawMessage {
	var b bytes.Buffer
	seen := make(map[string]bool, len(q))
	b.WriteByte('{')
	for _, p := range q {
		if seen[p.key] {
			continue
		}
		seen[p.key] = true
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.Write(quote(p.key))
		b.WriteByte(':')
		b.Write(quote(p.value))
	}
	b.WriteByte('}')
	return b.Bytes()
}

// decodeQuery decodes a value of a query as browsers do (WHATWG URL,
// application/x-www-form-urlencoded): a % that starts no escape stands for
// itself, and bytes that are no UTF-8 become U+FFFD.
func decodeQuery(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b.WriteByte(' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1:i+3]):
			decoded, _ := url.PathUnescape(s[i : i+3]) // cannot fail: two hex digits follow
			b.WriteString(decoded)
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return replaceInvalid(b.String())
}

// replaceInvalid puts U+FFFD for each part that is no UTF-8: a character that was
// begun and not ended counts once, any other byte by itself (the Unicode
// standard's "maximal subpart", which browsers and Python follow).
func replaceInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			for n < len(s) && !utf8.FullRuneInString(s[:n+1]) {
				n++
			}
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
