package ingest

import (
	"bytes"
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
	for _, original := range metaWritings(body) {
		for _, key := range keys {
			if key.signed(original, signature) {
				return rejectReencoded
			}
		}
	}
	return rejectMismatch
}
