package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// The headers in which Meta signs a request ("Webhooks: Getting Started", Validate
// Payloads). The older one uses SHA-1 and is not accepted.
const (
	headerSignature    = "X-Hub-Signature-256"
	headerSignatureOld = "X-Hub-Signature"
	signatureScheme    = "sha256="
)

// The rejections of a signature.
var (
	rejectMissing = &rejection{"missing",
		"the request has no X-Hub-Signature-256: either it is not from Meta, or something in front of the gateway drops the header", errSignature}
	rejectMalformed = &rejection{"malformed",
		"X-Hub-Signature-256 is not sha256= and 64 hex digits: either the request is not from Meta, " +
			"or something in front of the gateway changes the header", errSignature}
	rejectSHA1 = &rejection{"sha1_only",
		"the request is signed with SHA-1 only (X-Hub-Signature), which is not accepted: sign with X-Hub-Signature-256", errSignature}
	rejectReencoded = &rejection{"reencoded_body",
		"the signature fits the body as Meta writes it, not the bytes that arrived: something in front of the gateway " +
			"parses the JSON and writes it again, or adds white space; let it pass the body untouched", errSignature}
	rejectMismatch = &rejection{"mismatch",
		"the signature was made with another secret, or over another body: compare the configured app secrets with the app secret " +
			"(App settings, Basic) of the app whose webhook this is; it is neither the verify token nor an access token", errSignature}
	// rejectUndiagnosed is a mismatch whose reason may be a better one. It is not
	// logged, because the log has the reason of a request diagnosed a moment before.
	rejectUndiagnosed = &rejection{"mismatch", "", errSignature}

	signatureRejections = []*rejection{rejectMissing, rejectMalformed, rejectSHA1, rejectReencoded, rejectMismatch, rejectUndiagnosed}
)

// appSecrets verify the signatures of Meta's webhook. They are safe for concurrent use.
type appSecrets struct {
	keys          []*signingKey
	uses          []prometheus.Counter // of each key
	allowUnsigned bool
	diagnoses     *rate.Limiter
}

func keysOf(secrets []string) []*signingKey {
	keys := make([]*signingKey, len(secrets))
	for i, secret := range secrets {
		keys[i] = newSigningKey(secret)
	}
	return keys
}

// authenticateMeta is the authenticator of Meta's webhook.
func authenticateMeta(secrets *liveSecrets, r *request) (check, error) {
	signature, err := parseSignature(r.Header)
	switch {
	case err == nil:
		return func(body []byte) (err error) {
			r.trail.secret, err = secrets.meta.verify(signature, body)
			r.trail.secrets = len(secrets.meta.keys)
			return err
		}, nil
	case err == rejectMissing && secrets.meta.allowUnsigned:
		return func([]byte) error { return nil }, nil
	default:
		return nil, err
	}
}

// digest is an HMAC-SHA256.
type digest [sha256.Size]byte

// parseSignature returns the signature in the header. The error is a *rejection.
func parseSignature(header http.Header) (signature digest, err error) {
	value := header.Get(headerSignature)
	if value == "" {
		if header.Get(headerSignatureOld) != "" {
			return signature, rejectSHA1
		}
		return signature, rejectMissing
	}
	digits, hasScheme := strings.CutPrefix(value, signatureScheme)
	if strings.HasPrefix(value, "sha1=") {
		return signature, rejectSHA1
	}
	var room [2 * sha256.Size]byte // decoded in place
	if !hasScheme || len(digits) > len(room) {
		return signature, rejectMalformed
	}
	length, err := hex.Decode(room[:], append(room[:0], digits...))
	switch {
	case err != nil:
		return signature, rejectMalformed
	case length == 20: // SHA-1
		return signature, rejectSHA1
	case length != len(signature):
		return signature, rejectMalformed
	}
	return digest(room[:length]), nil
}

// verify counts the use of the key that body is signed with, and returns its place in the
// list, from 1. The error is a *rejection.
func (s *appSecrets) verify(signature digest, body []byte) (place int, err error) {
	if i := s.find(signature, body); i >= 0 {
		s.uses[i].Inc()
		return i + 1, nil
	}
	switch {
	case !canDiagnose(body):
		return 0, rejectMismatch
	case s.diagnoses.Allow():
		return 0, diagnose(s.keys, signature, body)
	default:
		return 0, rejectUndiagnosed
	}
}

// find returns the index of the key that body is signed with, or -1.
func (s *appSecrets) find(signature digest, body []byte) int {
	for i, key := range s.keys {
		if key.signed(body, signature) {
			return i
		}
	}
	return -1
}

// signingKey is an app secret. It reuses hashes, because preparing one for the secret
// costs as much as hashing a small body.
type signingKey struct{ hashes sync.Pool }

type signingHash struct {
	hash.Hash
	sum digest
}

func newSigningKey(secret string) *signingKey {
	return &signingKey{sync.Pool{New: func() any { return &signingHash{Hash: hmac.New(sha256.New, []byte(secret))} }}}
}

// signed reports whether signature is that of body.
func (k *signingKey) signed(body []byte, signature digest) bool {
	h := k.hashes.Get().(*signingHash)
	defer k.hashes.Put(h)
	h.Reset()
	h.Write(body)
	return hmac.Equal(h.Sum(h.sum[:0]), signature[:])
}
