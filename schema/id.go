package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"
)

// Identity distinguishes an event from others if the platform has no id for it.
type Identity struct {
	Platform  string
	Account   string
	User      User
	Timestamp string // as the platform sent it
	Kind      Kind
	Payload   string
	Ref       string
	MessageID string
}

// DeriveID returns an id that is the same for every delivery of an event. It is the first
// 32 hex digits of the SHA-256 of a JSON array: the strings of the identity in the order
// of its fields, without spaces, and with only the escapes that JSON requires (as
// JSON.stringify writes it).
func DeriveID(i Identity) string {
	text := []byte{'['}
	for n, s := range []string{i.Platform, i.Account, i.User.key(), i.Timestamp, string(i.Kind), i.Payload, i.Ref, i.MessageID} {
		if n > 0 {
			text = append(text, ',')
		}
		text = appendString(text, s)
	}
	sum := sha256.Sum256(append(text, ']'))
	return hex.EncodeToString(sum[:16])
}

// shortEscapes are the characters with a short escape.
var shortEscapes = map[rune]string{'\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '"': `\"`, '\\': `\\`}

// appendString appends a JSON string. encoding/json would also escape U+2028 and U+2029,
// and other languages could not compute the same id.
func appendString(text []byte, s string) []byte {
	text = append(text, '"')
	for _, r := range s { // invalid UTF-8 becomes U+FFFD
		switch short, found := shortEscapes[r]; {
		case found:
			text = append(text, short...)
		case r < ' ':
			text = fmt.Appendf(text, `\u%04x`, r)
		default:
			text = utf8.AppendRune(text, r)
		}
	}
	return append(text, '"')
}
