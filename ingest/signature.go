package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// The headers that Meta signs a request with ("Webhooks: Getting Started",
// Validate Payloads). The older one is made with SHA-1 and not accepted.
const (
	headerSignature    = "X-Hub-Signature-256"
	headerSignatureOld = "X-Hub-Signature"
	signatureScheme    = "sha256="
)

// verifier checks the signatures of one platform. It is a pure function of
// secrets, header and body, and safe for concurrent use.
type verifier struct {
	secrets [][]byte
}

func newVerifier(secrets []string) verifier {
	var v verifier
	for _, secret := range secrets {
		v.secrets = append(v.secrets, []byte(secret))
	}
	return v
}

// verify returns the place, from 1, of the secret that body was signed with.
// The error is a signatureError with a reason that is known at no cost; see
// [verifier.diagnose] for the rest.
func (v verifier) verify(header http.Header, body []byte) (int, error) {
	signature, err := readSignature(header)
	if err != nil {
		return 0, err
	}
	for i, secret := range v.secrets {
		if hmac.Equal(sign(secret, body), signature) {
			return i + 1, nil
		}
	}
	return 0, signatureError(reasonMismatch)
}

// readSignature takes the signature out of the header, and tells what is wrong
// with its form.
func readSignature(header http.Header) ([]byte, error) {
	value := header.Get(headerSignature)
	if value == "" {
		if header.Get(headerSignatureOld) != "" {
			return nil, signatureError(reasonSHA1)
		}
		return nil, signatureError(reasonMissing)
	}
	digits, found := strings.CutPrefix(value, signatureScheme)
	if !found && strings.HasPrefix(value, "sha1=") {
		return nil, signatureError(reasonSHA1)
	}
	signature, err := hex.DecodeString(digits)
	switch {
	case !found || err != nil:
		return nil, signatureError(reasonMalformed)
	case len(signature) == 20:
		return nil, signatureError(reasonSHA1)
	case len(signature) != sha256.Size:
		return nil, signatureError(reasonMalformed)
	}
	return signature, nil
}

func sign(secret, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return mac.Sum(nil)
}

// signatureError is a reason why a request is not accepted as the platform's.
type signatureError string

// The reasons, as they stand in the metric.
const (
	reasonMissing   = "missing"
	reasonMalformed = "malformed"
	reasonSHA1      = "sha1_only"
	reasonReencoded = "reencoded_body"
	reasonMismatch  = "mismatch"
)

// signatureHelp says for every reason what to do about it.
var signatureHelp = map[signatureError]string{
	reasonMissing: "the request has no X-Hub-Signature-256: either it is not from Meta, or something in front of the gateway drops the header",
	reasonMalformed: "X-Hub-Signature-256 is not sha256= and 64 hex digits: either the request is not from Meta, " +
		"or something in front of the gateway changes the header",
	reasonSHA1: "the request is signed with SHA-1 only (X-Hub-Signature), which is not accepted: sign with X-Hub-Signature-256",
	reasonReencoded: "the signature fits the body as Meta writes it, not the bytes that arrived: something in front of the gateway " +
		"parses the JSON and writes it anew, or adds white space; let it pass the body untouched",
	reasonMismatch: "made with another secret, or over another body: compare GATEWAY_META_APP_SECRETS with the app secret " +
		"(App settings, Basic) of the app whose webhook this is; it is neither the verify token nor an access token",
}

// Error is for the log; the caller learns only that it was refused.
func (e signatureError) Error() string { return signatureHelp[e] }
