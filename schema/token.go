package schema

import (
	"fmt"
	"strings"
)

// MaxToken is the longest token for a piece of a payload in a subject, in characters. A
// longer one is replaced by =long.
const MaxToken = 48

// Reserved tokens. No piece is escaped to one of them, because = is always escaped.
const (
	tokenNone     = "_"
	tokenID       = "=id"
	tokenLong     = "=long"
	tokenJSON     = "=json"
	tokenQuery    = "=query"
	tokenReferral = "=referral"
	tokenOptin    = "=optin"
	tokenIdentity = "=identity"
	tokenForm     = "=form"
)

var noRoute = Route{Prefix: tokenNone, Action: tokenNone}

// pieceToken returns the token of one piece of a payload (step 5 of the rule).
func pieceToken(piece string) string {
	if piece == "" {
		return tokenNone
	}
	if isID(piece) || len(piece) >= minNumber && isDigits(piece) {
		return tokenID
	}
	token := EscapeToken(piece)
	if len(token) > MaxToken {
		return tokenLong
	}
	return token
}

// actionToken is [pieceToken] for an action. An id in it is removed as in a prefix; the
// event keeps the whole piece.
func actionToken(action string) string {
	if !isID(action) {
		if start, _, found := findID(action); found {
			action = before(action, start)
		}
	}
	return pieceToken(action)
}

const upperHex = "0123456789ABCDEF"

// EscapeToken returns s as one NATS token. ASCII letters, digits, _ and - stay, and every
// other byte becomes =XX in upper-case hex. A lone _ is =5F, because _ means "none". Use it
// to build a filter for one account or prefix. [UnescapeToken] is its exact inverse. An
// empty s gives an empty token, which is not a valid part of a subject.
func EscapeToken(s string) string {
	if s == tokenNone {
		return "=5F"
	}
	escaped := 0
	for i := range len(s) {
		if !isPlain(s[i]) {
			escaped++
		}
	}
	if escaped == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*escaped)
	for i := range len(s) {
		if c := s[i]; isPlain(c) {
			b = append(b, c)
		} else {
			b = append(b, '=', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// UnescapeToken returns the string that [EscapeToken] returned token for. A token that it
// never returns is an error: reserved ones (_, =id, =long, =json …), and any other spelling
// of the same string.
func UnescapeToken(token string) (string, error) {
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '=' {
			if i+2 >= len(token) {
				return "", fmt.Errorf("token %q: = at %d is not followed by two hex digits", token, i)
			}
			high, low := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
			if high < 0 || low < 0 {
				return "", fmt.Errorf("token %q: = at %d is not followed by two upper-case hex digits", token, i)
			}
			c = byte(high<<4 | low)
			i += 2
		}
		b = append(b, c)
	}
	s := string(b)
	if EscapeToken(s) != token {
		return "", fmt.Errorf("token %q is not how %q is written in a subject: %q", token, s, EscapeToken(s))
	}
	return s, nil
}

// The sizes of an id (step 4 of the rule) and of a number that is always replaced (step
// 5), in characters.
const (
	minIDDigits = 5
	minIDHex    = 16
	minIDMixed  = 20
	minMixed    = 4 // digits among them
	minNumber   = 4
	uuidLength  = 36
)

// isID reports whether a piece is an identifier. As a token it would give every order and
// every user a subject.
func isID(s string) bool {
	switch {
	case len(s) >= minIDDigits && isDigits(s), isUUID(s), len(s) >= minIDHex && isHex(s):
		return true
	default:
		return len(s) >= minIDMixed && all(s, isAlphanumeric) && countDigits(s) >= minMixed
	}
}

func countDigits(s string) (n int) {
	for i := range len(s) {
		if isDigit(s[i]) {
			n++
		}
	}
	return n
}

func isUUID(s string) bool {
	if len(s) != uuidLength {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isHexDigit(s[i]) {
				return false
			}
		}
	}
	return true
}

func isDigits(s string) bool { return all(s, isDigit) }
func isHex(s string) bool    { return all(s, isHexDigit) }

// all reports whether s is not empty and every byte of it belongs to the class.
func all(s string, class func(byte) bool) bool {
	for i := range len(s) {
		if !class(s[i]) {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool { return isLetter(c) || isDigit(c) }
func isDigit(c byte) bool        { return '0' <= c && c <= '9' }
func isLetter(c byte) bool       { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isHexDigit(c byte) bool     { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }
func isPlain(c byte) bool        { return isAlphanumeric(c) || c == '_' || c == '-' }
