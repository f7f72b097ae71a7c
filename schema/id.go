package schema

import (
	"crypto/sha256"
	"encoding/hex"
)

// Identity is what makes an interaction itself where the platform gave it no id
// of its own.
type Identity struct {
	Platform  string
	Account   string
	User      User
	Timestamp string // as the platform sent it
	Kind      Kind
	Payload   string
	Ref       string
}

// DeriveID returns an id that is the same for every delivery of the same
// interaction: the first 32 hex digits of the SHA-256 of the JSON array of the
// identity's strings, in the order of its fields, without spaces and with no
// more escapes than JSON asks for.
func DeriveID(i Identity) string {
	text, _ := encode([]string{i.Platform, i.Account, i.User.key(), i.Timestamp, string(i.Kind), i.Payload, i.Ref})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
