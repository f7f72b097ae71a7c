package ingest

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Meta signs the JSON that it writes: compact, with every character beyond ASCII as
// \uXXXX in lower-case hex, and with escapes for a few ASCII characters that need none.
// Programs that decode a body and encode it again (Node, Python, PHP, Go, Java, .NET)
// write strings in other ways. So all strings are decoded and written as Meta does.

// metaEscapes are the ASCII characters for which Meta writes an escape, and the escape.
// No document lists them, and not all of Meta's deliveries have all of them.
var metaEscapes = []struct{ char, escape string }{
	{"/", `\/`},
	{"<", `\u003C`},
	{"%", `\u0025`},
	{"@", `\u0040`},
}

// metaWritings returns the bytes that Meta may have signed if body was decoded and
// encoded again: at most 20 texts, and fewer if body lacks some of the characters.
// It does not validate the JSON: after a mistake no signature matches, as before.
func metaWritings(body []byte) [][]byte {
	decoded := decodeStrings(body)
	ascii := string(escapeNonASCII(decoded))
	writings := [][]byte{bytes.TrimSpace(body), []byte(ascii)}
	var all []string // pairs for a replacer
	for _, e := range metaEscapes {
		if !strings.Contains(ascii, e.char) {
			continue
		}
		all = append(all, e.char, e.escape)
		for _, w := range writings[1:] {
			writings = append(writings, bytes.ReplaceAll(w, []byte(e.char), []byte(e.escape)))
		}
	}
	if strings.Contains(ascii, "<") {
		lower := strings.NewReplacer(all...).Replace(ascii)
		writings = append(writings, []byte(strings.ReplaceAll(lower, `\u003C`, `\u003c`)))
	}
	if len(ascii) != len(decoded) {
		writings = append(writings, decoded, bytes.ReplaceAll(decoded, []byte("/"), []byte(`\/`)))
	}
	return writings
}

// decodeStrings returns JSON without white space between tokens and without escapes but
// those that JSON requires. Half a surrogate pair stays escaped.
func decodeStrings(body []byte) []byte {
	out := make([]byte, 0, len(body))
	inString := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			inString = !inString
			out = append(out, c)
		case inString && c == '\\':
			r, n := readEscape(body[i:])
			out = appendChar(out, r)
			i += n - 1
		case inString || c > ' ':
			out = append(out, c)
		}
	}
	return out
}

// shortEscapes are the characters behind a backslash, and what they stand for.
var shortEscapes = map[byte]rune{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// readEscape returns the character of the escape that s begins with, and the length of
// the escape. Two halves of a surrogate pair are one escape.
func readEscape(s []byte) (r rune, length int) {
	if r, ok := readUnit(s); ok {
		if low, ok := readUnit(s[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return r, 6
	}
	if len(s) < 2 {
		return '\\', 1
	}
	if r, ok := shortEscapes[s[1]]; ok {
		return r, 2
	}
	return rune(s[1]), 2
}

// readUnit reads \uXXXX.
func readUnit(s []byte) (unit rune, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, c := range s[2:6] {
		digit := strings.IndexByte(lowerHex, c|0x20)
		if digit < 0 {
			return 0, false
		}
		unit = unit<<4 | rune(digit)
	}
	return unit, true
}

// appendChar writes a character of a string, escaped only if JSON requires it.
func appendChar(out []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(out, '\\', byte(r))
	case r < ' ':
		for letter, char := range shortEscapes {
			if char == r {
				return append(out, '\\', letter)
			}
		}
		return appendUnit(out, r)
	case utf16.IsSurrogate(r):
		return appendUnit(out, r)
	default:
		return utf8.AppendRune(out, r)
	}
}

// escapeNonASCII writes every character beyond ASCII as \uXXXX.
func escapeNonASCII(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/4)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r < utf8.RuneSelf:
			out = append(out, byte(r))
		case r <= 0xffff:
			out = appendUnit(out, r)
		default:
			high, low := utf16.EncodeRune(r)
			out = appendUnit(appendUnit(out, high), low)
		}
		text = text[size:]
	}
	return out
}

const lowerHex = "0123456789abcdef"

func appendUnit(out []byte, unit rune) []byte {
	return append(out, '\\', 'u', lowerHex[unit>>12], lowerHex[unit>>8&0xf], lowerHex[unit>>4&0xf], lowerHex[unit&0xf])
}
