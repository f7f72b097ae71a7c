package ingest

import (
	"bytes"
	"crypto/hmac"
	"net/http"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Anybody can send a wrong signature, and to diagnose one costs as much as many
// valid deliveries.
const (
	diagnoseLimit     = 16 << 10 // the largest body that is diagnosed, in bytes
	diagnosePerSecond = 4
)

// canDiagnose reports whether body may be a re-encoded delivery: a JSON object, which
// is not parsed for it.
func canDiagnose(body []byte) bool {
	if len(body) > diagnoseLimit {
		return false
	}
	object := bytes.TrimSpace(body)
	return bytes.HasPrefix(object, []byte("{")) && bytes.HasSuffix(object, []byte("}")) && utf8.Valid(object)
}

// diagnose looks for a better reason for a mismatch than that it is one. Only
// called after the real check has failed; nothing that it finds makes a request
// accepted.
func (v verifier) diagnose(header http.Header, body []byte) signatureError {
	signature, err := readSignature(header)
	if err != nil {
		return reasonMismatch
	}
	for _, original := range originals(body) {
		for _, secret := range v.secrets {
			if hmac.Equal(sign(secret, original), signature) {
				return reasonReencoded
			}
		}
	}
	return reasonMismatch
}

// originals returns what Meta may have signed where body is a re-encoded form of
// it: Meta writes compact JSON with non-ASCII characters, and often slashes, escaped.
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

// reencode writes JSON without white space between its tokens and with the
// escapes of e. It need not understand the JSON: a wrong guess only means that
// no signature fits.
func reencode(body []byte, e encoding) []byte {
	out := make([]byte, 0, len(body)+len(body)/4)
	quoted := false
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		switch {
		case r == '"':
			quoted = !quoted
			out = append(out, '"')
		case !quoted && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
		case quoted && r == '\\' && i+1 < len(body):
			size = 2 // the escaped character has no meaning of its own
			out = append(out, body[i:i+2]...)
		case quoted && r == '/' && e.slashes:
			out = append(out, '\\', '/')
		case quoted && r > unicode.MaxASCII && e.ascii:
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
