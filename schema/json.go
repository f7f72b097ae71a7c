package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// MaxDepth is how deeply JSON that others wrote (params, referral.extra, raw)
// may be nested in an event. Common parsers refuse deeper documents, the
// strictest at 64 levels, and an event has to be readable by all of them.
const MaxDepth = 50

// ErrDepth says that JSON is nested deeper than [MaxDepth].
var ErrDepth = errors.New("nested deeper than 50 levels")

// ErrRange says that JSON holds a number that no float64 can hold. A Go consumer
// cannot decode it into an any, and in other languages it becomes Infinity.
var ErrRange = errors.New("a number outside of the range of a float64")

// SafeJSON returns JSON that others wrote in a form that is safe inside an event.
// It keeps value as it is but for halves of surrogate pairs, which JSON allows
// in an escape and strict parsers refuse: they become \ufffd, as when the text
// is decoded. Value has to be valid JSON; it is not changed. The error is [ErrDepth]
// or [ErrRange].
//
// Integers beyond 2^53 are kept digit by digit, and parsers that read numbers as
// float64 round them.
func SafeJSON(value []byte) (json.RawMessage, error) {
	switch {
	case depth(value) > MaxDepth:
		return nil, ErrDepth
	case outOfRange(value):
		return nil, ErrRange
	}
	return mendSurrogates(value), nil
}

// embed is [SafeJSON] for params: what is not safe inside an event stands in raw alone.
func embed(text string) json.RawMessage {
	value, err := SafeJSON([]byte(text))
	if err != nil {
		return nil
	}
	return value
}

// mostDigits is the longest number without an exponent that is in range for its
// length alone.
const mostDigits = 308

// outOfRange reports whether valid JSON holds a number outside of a float64's range.
func outOfRange(value []byte) bool {
	for i := 0; i < len(value); {
		switch c := value[i]; {
		case c == '"':
			i += stringLength(value[i:])
		case isDigit(c) || c == '-':
			end := i
			for end < len(value) && isNumberByte(value[end]) {
				end++
			}
			if number := value[i:end]; len(number) > mostDigits || bytes.ContainsAny(number, "eE") {
				if _, err := strconv.ParseFloat(string(number), 64); err != nil {
					return true
				}
			}
			i = end
		default:
			i++
		}
	}
	return false
}

func isNumberByte(c byte) bool {
	return isDigit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// stringLength returns the length of the JSON string that text begins with.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func depth(value []byte) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

// mendSurrogates works on the escapes of valid JSON, which stand in strings only.
func mendSurrogates(value []byte) []byte {
	if !bytes.Contains(value, []byte(`\u`)) {
		return value
	}
	out := bytes.Clone(value)
	for i := 0; i < len(out); i++ {
		if out[i] != '\\' {
			continue
		}
		switch {
		case isHighSurrogate(out[i:]) && isLowSurrogate(out[i+6:]):
			i += 11
		case isHighSurrogate(out[i:]) || isLowSurrogate(out[i:]):
			copy(out[i:], `\ufffd`)
			i += 5
		default:
			i++ // past the escaped character, which may be a backslash
		}
	}
	return out
}

func isHighSurrogate(escape []byte) bool { return isSurrogate(escape, "89abAB") }
func isLowSurrogate(escape []byte) bool  { return isSurrogate(escape, "cdefCDEF") }

func isSurrogate(escape []byte, third string) bool {
	return len(escape) >= 6 && escape[0] == '\\' && escape[1] == 'u' && escape[2]|0x20 == 'd' &&
		strings.IndexByte(third, escape[3]) >= 0
}

// usualSize holds the JSON of most events, in bytes.
const usualSize = 1 << 10

// encode writes v as JSON without the escapes for HTML, which only make
// payloads harder to read.
func encode(v any) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, usualSize))
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// quote returns s as a JSON string.
func quote(s string) []byte {
	quoted, _ := encode(s) // a string cannot fail
	return quoted
}
