package schema

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

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
	return form{name: chooseName(pairs.find), unnamed: tokenQuery, params: pairs.object()}, true
}

type pair struct{ key, value string }

type query []pair

// parsePairs reads k=v pairs joined by &. url.ParseQuery would accept any text as a query,
// and drop pairs with a stray %.
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

// keyLength returns the length of the key that s starts with: [A-Za-z_][A-Za-z0-9_-]*.
func keyLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && c != '_' && (i == 0 || !isDigit(c) && c != '-') {
			return i
		}
	}
	return len(s)
}

// find returns the first value of a key, in any letter case, that is not empty.
func (q query) find(key string) string {
	for i, p := range q {
		if p.value != "" && strings.EqualFold(p.key, key) && !q[:i].has(p.key) {
			return p.value
		}
	}
	return ""
}

func (q query) has(key string) bool {
	return slices.ContainsFunc(q, func(p pair) bool { return p.key == key })
}

// object returns the pairs as a JSON object of strings, in their order. It uses the first
// of repeated keys.
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
// application/x-www-form-urlencoded). A % that does not start an escape stays, and invalid
// UTF-8 becomes U+FFFD.
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

// replaceInvalid replaces invalid UTF-8 by U+FFFD: once for an incomplete character, and
// for each other byte (the "maximal subpart" of the Unicode standard, which browsers and
// Python follow).
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
