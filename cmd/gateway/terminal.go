package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// terminal is what all commands write to. Payloads, titles, names and ids come from
// strangers, and control characters in them could hide text, forge lines or do worse on a
// terminal. They are written like \u009b, which a JSON parser reads as the same text.
// Line feeds and tabs are not escaped.
type terminal struct{ to io.Writer }

// Unwrap returns the writer itself.
func (t terminal) Unwrap() io.Writer { return t.to }

// Write implements [io.Writer].
func (t terminal) Write(text []byte) (int, error) {
	if n, err := t.to.Write(escapeControls(text)); err != nil {
		return min(n, len(text)), err
	}
	return len(text), nil
}

// escapeControls returns text without control characters and invalid UTF-8, which
// some terminals read as control characters too.
func escapeControls(text []byte) []byte {
	if isSafe(text) {
		return text
	}
	escaped := make([]byte, 0, len(text)+len(text)/2)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			escaped = append(escaped, `\ufffd`...)
		case r != '\n' && r != '\t' && isControl(r):
			escaped = appendUnicode(escaped, r)
		default:
			escaped = append(escaped, text[:size]...)
		}
		text = text[size:]
	}
	return escaped
}

// isSafe reports whether nothing in text has to be escaped, as in nearly all output.
func isSafe(text []byte) bool {
	for len(text) > 0 {
		if b := text[0]; ' ' <= b && b <= '~' || b == '\n' || b == '\t' {
			text = text[1:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 || isControl(r) {
			return false
		}
		text = text[size:]
	}
	return true
}

// isControl reports whether a terminal executes or hides r instead of showing it: C0, DEL
// and C1, line separators, and invisible characters, of which some change the direction
// of the following text.
func isControl(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// appendUnicode writes r as JSON does.
func appendUnicode(to []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return fmt.Appendf(to, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(to, `\u%04x`, r)
}
