package schema

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitName splits a name into its pieces (steps 3 and 4 of the rule).
func splitName(name string) (prefix, action string, rest []string) {
	if isText(name) {
		return name, "", nil
	}
	pieces := strings.FieldsFunc(name, isSeparator)
	if len(pieces) == 0 {
		return "", "", nil
	}
	pieces = cutFirst(pieces)
	prefix = pieces[0]
	if len(pieces) > 1 {
		action = pieces[1]
	}
	if len(pieces) > 2 {
		rest = pieces[2:]
	}
	return prefix, action, rest
}

// isText reports whether the name is a text for people: it contains white space, or a
// control character that no known bot framework uses as a separator.
func isText(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool {
		return (unicode.IsSpace(r) || unicode.IsControl(r)) && !isSeparator(r)
	})
}

// isSeparator reports whether a character separates pieces: all ASCII punctuation except _
// and -, and two control characters that bot frameworks use.
func isSeparator(r rune) bool {
	switch {
	case r == '_', r == '-':
		return false
	case r == '\f', r == '\x1d':
		return true
	default:
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
}

// cutFirst makes an id in the first piece, or else a final number, a piece of its own. So
// order_8123991 and add_to_cart_42 do not create a prefix each (step 4).
func cutFirst(pieces []string) []string {
	first, others := pieces[0], pieces[1:]
	if isID(first) {
		return pieces
	}
	if start, end, found := findID(first); found {
		cut := []string{before(first, start), first[start:end]}
		if after := strings.TrimLeft(first[end:], "_-"); after != "" {
			cut = append(cut, after)
		}
		return append(cut, others...)
	}
	if i := strings.LastIndexAny(first, "_-"); i > 0 && len(others) == 0 && isDigits(first[i+1:]) {
		return []string{first[:i], first[i+1:]}
	}
	return pieces
}

// before returns the part of a piece in front of an id.
func before(piece string, start int) string { return strings.TrimRight(piece[:start], "_-") }

// findID returns the position of the first id in a piece that does not start the piece. An
// id is between _ or - or the end of the piece. A final number can also follow letters.
func findID(piece string) (start, end int, found bool) {
	for start < len(piece) {
		end = segmentEnd(piece, start)
		if n := idLength(piece[start:], end-start); n > 0 && before(piece, start) != "" {
			return start, start + n, true
		}
		if end == len(piece) {
			break
		}
		start = end + 1
	}
	// The loop ends with the last segment.
	digits := len(strings.TrimRight(piece, "0123456789"))
	last, _ := utf8.DecodeLastRuneInString(piece[:digits])
	return digits, len(piece), len(piece)-digits >= minIDDigits && unicode.IsLetter(last)
}

// segmentEnd returns the end of the part of a piece that starts at start.
func segmentEnd(piece string, start int) int {
	if i := strings.IndexAny(piece[start:], "_-"); i >= 0 {
		return start + i
	}
	return len(piece)
}

// idLength returns the length of the id that s starts with, or 0. segment is the length of
// the first segment of s. Only a UUID is longer.
func idLength(s string, segment int) int {
	if len(s) >= uuidLength && isUUID(s[:uuidLength]) && segmentEnd(s, uuidLength-1) == uuidLength {
		return uuidLength
	}
	if isID(s[:segment]) {
		return segment
	}
	return 0
}
