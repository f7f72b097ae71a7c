package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// MaxDepth is how deeply foreign JSON (params, referral.extra, raw) can be nested in an
// event. Common parsers reject deeper documents, the strictest at 64 levels, and all of
// them have to be able to read an event.
const MaxDepth = 50

// ErrDepth reports JSON that is nested deeper than [MaxDepth].
var ErrDepth = errors.New("nested deeper than 50 levels")

// ErrRange reports JSON with a number outside of the range of a float64. A Go consumer
// cannot decode it into an any, and in other languages it becomes Infinity.
var ErrRange = errors.New("a number outside of the range of a float64")

// SafeJSON returns foreign JSON in a form that is safe inside an event. Only escaped
// halves of surrogate pairs are changed, which JSON allows and strict parsers reject: they
// become \ufffd, as if the text was decoded. value has to be valid JSON and is not
// modified. The error is [ErrDepth] or [ErrRange].
//
// Integers beyond 2^53 keep their digits, and parsers that read numbers as float64 round
// them.
func SafeJSON(value []byte) (json.RawMessage, error) {
	switch {
	case depth(value) > MaxDepth:
		return nil, ErrDepth
	case outOfRange(value):
		return nil, ErrRange
	}
	return replaceSurrogates(value), nil
}

// safeParams is [SafeJSON] for params. It returns nil for unsafe ones, which are only in
// the raw payload then.
func safeParams(text string) json.RawMessage {
	value, err := SafeJSON([]byte(text))
	if err != nil {
		return nil
	}
	return value
}

// mostDigits is how long a number without an exponent can be and always be in range.
const mostDigits = 308

// outOfRange reports whether valid JSON has a number outside of a float64's range.
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
	level, inString := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			inString = !inString
		case c == '\\':
			i++
		case inString:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

// replaceSurrogates replaces escaped halves of surrogate pairs in valid JSON.
func replaceSurrogates(value []byte) []byte {
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

// usualSize is enough for the JSON of most events, in bytes.
const usualSize = 1 << 10

// encode returns v as JSON without escapes for HTML, which make payloads hard to read.
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
	quoted, _ := encode(s) // a string always encodes
	return quoted
}
