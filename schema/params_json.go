package schema

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// jsonForm reads a payload that is a JSON object, array or string and nothing else.
func jsonForm(raw string) (form, bool) {
	value := strings.TrimLeftFunc(raw, func(r rune) bool { return r < utf8.RuneSelf && isJSONSpace(byte(r)) })
	if value == "" || !strings.Contains(`{["`, value[:1]) || !json.Valid([]byte(raw)) {
		return form{}, false
	}
	f := form{unnamed: tokenJSON, params: safeParams(raw)}
	if value[0] == '{' {
		f.name = chooseName(readMembers(raw).find)
	}
	return f, true
}

// members are the members of a JSON object, in their order.
type members []member

type member struct {
	key   string
	value json.RawMessage
}

// readMembers reads a valid JSON object. As most parsers do, it uses the last of repeated
// members.
func readMembers(object string) members {
	var all members
	place := map[string]int{}
	decoder := json.NewDecoder(strings.NewReader(object))
	_, _ = decoder.Token() // the opening brace
	for decoder.More() {
		key, _ := decoder.Token()
		m := member{key: key.(string)}
		_ = decoder.Decode(&m.value)
		if i, repeated := place[m.key]; repeated {
			all[i].value = m.value
			continue
		}
		place[m.key] = len(all)
		all = append(all, m)
	}
	return all
}

// find returns the first member, in any letter case, whose value is a string and not
// empty.
func (m members) find(key string) string {
	for i := range m {
		var s string
		if strings.EqualFold(m[i].key, key) && json.Unmarshal(m[i].value, &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

// suffixForm reads a name followed by a JSON object or array up to the end.
func suffixForm(raw string) (form, bool) {
	i := jsonSuffix(raw)
	if i <= 0 {
		return form{}, false
	}
	name := raw[:i]
	if len(name) > 1 {
		name = strings.TrimSuffix(name, ":")
	}
	return form{name: name, params: safeParams(raw[i:])}, true
}

// jsonSuffix returns the start of the JSON object or array at the end of raw, or -1. It
// walks back from the closing bracket to its opening one, where such a value has to start.
// So the work is linear, however many brackets a hostile payload has.
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

// openingQuote returns the quote that opens the string that ends at i, or -1. It is the
// nearest one before i that follows an even number of backslashes.
func openingQuote(raw string, i int) int {
	for i = strings.LastIndexByte(raw[:i], '"'); i >= 0; i = strings.LastIndexByte(raw[:i], '"') {
		before := strings.TrimRight(raw[:i], `\`)
		if (i-len(before))%2 == 0 {
			return i
		}
	}
	return -1
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
