package ingest

import (
	"bytes"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Diagnosing a wrong signature costs as much as many valid deliveries, and anybody can
// send one.
const (
	maxDiagnosedBody   = 16 << 10 // in bytes
	diagnosesPerSecond = 4
)

// canDiagnose reports whether body can be a re-encoded delivery: it looks like a JSON
// object.
func canDiagnose(body []byte) bool {
	if len(body) > maxDiagnosedBody {
		return false
	}
	object := bytes.TrimSpace(body)
	return bytes.HasPrefix(object, []byte("{")) && bytes.HasSuffix(object, []byte("}")) && utf8.Valid(object)
}

// diagnose returns the reason why a signature does not match. It is only called for
// requests that are rejected.
func diagnose(keys []*signingKey, signature digest, body []byte) *rejection {
	for _, original := range originals(body) {
		for _, key := range keys {
			if key.signed(original, signature) {
				return rejectReencoded
			}
		}
	}
	return rejectMismatch
}

// originals returns what Meta may have signed if body was re-encoded. Meta writes
// compact JSON and escapes non-ASCII characters, and often slashes.
func originals(body []byte) [][]byte {
	return [][]byte{
		bytes.TrimSpace(body),
		reencode(body, encoding{}),
		reencode(body, encoding{ascii: true}),
		reencode(body, encoding{slashes: true}),
		reencode(body, encoding{ascii: true, slashes: true}),
	}
}

// encoding is how a JSON text is written.
type encoding struct {
	ascii   bool // \uXXXX for every character beyond ASCII
	slashes bool // \/ for /
}

// reencode writes JSON without white space between tokens and with the escapes of e. It
// does not validate the JSON: after a mistake the signature does not match, as before.
func reencode(body []byte, e encoding) []byte {
	out := make([]byte, 0, len(body)+len(body)/4)
	inString := false
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		switch {
		case r == '"':
			inString = !inString
			out = append(out, '"')
		case !inString && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
		case inString && r == '\\' && i+1 < len(body):
			size = 2 // the escaped character has no meaning of its own
			out = append(out, body[i:i+2]...)
		case inString && r == '/' && e.slashes:
			out = append(out, '\\', '/')
		case inString && r > unicode.MaxASCII && e.ascii:
			out = appendEscaped(out, r)
		default:
			out = append(out, body[i:i+size]...)
		}
		i += size
	}
	return out
}

func appendEscaped(out []byte, r rune) []byte {
	if r <= 0xffff {
		return appendEscape(out, r)
	}
	high, low := utf16.EncodeRune(r)
	return appendEscape(appendEscape(out, high), low)
}

func appendEscape(out []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(out, '\\', 'u', digits[unit>>12], digits[unit>>8&0xf], digits[unit>>4&0xf], digits[unit&0xf])
}
