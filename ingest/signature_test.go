package ingest

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The vector is that of RFC 4231, test case 2.
func TestSignVector(t *testing.T) {
	const want = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := signatureOf("Jefe", []byte("what do ya want for nothing?")); got != want {
		t.Errorf("got %s", got)
	}
}

// findSigner returns the index of the secret, or the error of the header.
func findSigner(secrets appSecrets, header http.Header, body []byte) (int, error) {
	signature, err := parseSignature(header)
	if err != nil {
		return -1, err
	}
	return secrets.find(signature, body), nil
}

func TestVerifySecrets(t *testing.T) {
	secrets := appSecrets{keys: keysOf([]string{"old", "new"})}
	for secret, want := range map[string]int{"old": 0, "new": 1, "other": -1} {
		header := http.Header{headerSignature: {signatureOf(secret, []byte("body"))}}
		if got, err := findSigner(secrets, header, []byte("body")); got != want || err != nil {
			t.Errorf("%s: got %d, %v", secret, got, err)
		}
	}
	upper := strings.ToUpper(signatureOf("old", []byte("body")))
	header := http.Header{headerSignature: {"sha256=" + upper[len("sha256="):]}}
	if got, err := findSigner(secrets, header, []byte("body")); got != 0 || err != nil {
		t.Errorf("upper-case hex: %d, %v", got, err)
	}
}

// TestSignatureReasons: log and metric have the reason, and the response does not.
func TestSignatureReasons(t *testing.T) {
	// As Meta writes it, and as JSON libraries write it after parsing.
	const original = `{"object":"page","entry":[{"id":"1","t":"\u00dcber \ud83d\ude00 a\/b \"q\""}]}`
	signed := signatureOf(testSecret, []byte(original))
	parsed := `{"object": "page", "entry": [{"id": "1", "t": "Über 😀 a/b \"q\""}]}`
	for _, test := range []struct {
		name, body string
		header     map[string]string
		want       *rejection
	}{
		{"missing", original, map[string]string{headerSignature: ""}, rejectMissing},
		{"old header", original, map[string]string{headerSignature: "", headerSignatureOld: "sha1=00"}, rejectSHA1},
		{"old scheme", original, map[string]string{headerSignature: "sha1=" + strings.Repeat("0", 40)}, rejectSHA1},
		{"old length", original, map[string]string{headerSignature: "sha256=" + strings.Repeat("0", 40)}, rejectSHA1},
		{"not hex", original, map[string]string{headerSignature: "sha256=" + strings.Repeat("g", 64)}, rejectMalformed},
		{"another secret", original, map[string]string{headerSignature: signatureOf("other", []byte(original))}, rejectMismatch},
		{"re-encoded", parsed, map[string]string{headerSignature: signed}, rejectReencoded},
		{"compact", strings.ReplaceAll(parsed, ": ", ":"), map[string]string{headerSignature: signed}, rejectReencoded},
		{"line break added", original + "\n", map[string]string{headerSignature: signed}, rejectReencoded},
		{"cut", original[:20], map[string]string{headerSignature: signed}, rejectMismatch},
		{"re-encoded, not UTF-8", "{\"t\": \"\xff\"}", map[string]string{headerSignature: signatureOf(testSecret, []byte("{\"t\":\"\xff\"}"))}, rejectMismatch},
		{"re-encoded, not an object", `[{}, {}]`, map[string]string{headerSignature: signatureOf(testSecret, []byte(`[{},{}]`))}, rejectMismatch},
		{"re-encoded, too large to look into", parsed + strings.Repeat(" ", maxDiagnosedBody), map[string]string{headerSignature: signed}, rejectMismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			ts := newTestServer(t, nil)
			a := ts.post(t, []byte(test.body), test.header)
			if a.status != 401 || strings.Contains(a.body, "encode") || strings.Contains(a.body, signed) {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if n := testutil.ToFloat64(ts.metrics.signatureFailures.WithLabelValues("meta", test.want.reason)); n != 1 {
				t.Errorf("not counted as %s", test.want.reason)
			}
			if !strings.Contains(ts.log.String(), `"reason":"`+test.want.reason+`"`) {
				t.Errorf("log: %s", ts.log)
			}
		})
	}
}

// A flood of forged requests does not fill the log. The metric counts all of them.
func TestRefusalLogIsBounded(t *testing.T) {
	ts := newTestServer(t, nil)
	for range 50 {
		ts.post(t, []byte(okPostback), map[string]string{headerSignature: ""})
	}
	if n := strings.Count(ts.log.String(), "request refused"); n == 0 || n > 10 {
		t.Errorf("%d lines", n)
	}
	if n := testutil.ToFloat64(ts.metrics.signatureFailures.WithLabelValues("meta", rejectMissing.reason)); n != 50 {
		t.Errorf("counted %v", n)
	}
}

// TestDiagnosisIsBounded: a diagnosis costs as much as many valid deliveries, and anybody
// can cause one. Requests that are not diagnosed are counted, and not logged because
// their reason is unknown.
func TestDiagnosisIsBounded(t *testing.T) {
	ts := newTestServer(t, nil)
	forged := map[string]string{headerSignature: signatureOf(testSecret, []byte(`{"a":1}`))}
	const requests = 50
	for range requests {
		if a := ts.post(t, []byte(`{"a": 1}`), forged); a.status != 401 {
			t.Fatalf("got %d", a.status)
		}
	}
	count := func(reason string) float64 {
		return testutil.ToFloat64(ts.metrics.signatureFailures.WithLabelValues("meta", reason))
	}
	if n := count(rejectReencoded.reason); n == 0 || n > requests/2 {
		t.Errorf("%v of %d requests were diagnosed", n, requests)
	}
	if n := count(rejectReencoded.reason) + count(rejectMismatch.reason); n != requests {
		t.Errorf("%v of %d requests were counted", n, requests)
	}
	if strings.Contains(ts.log.String(), `"reason":"mismatch"`) {
		t.Errorf("log: %s", ts.log)
	}
}

// Every rejection has a response, and all but the one that is never logged have help.
func TestEveryRejectionHasHelp(t *testing.T) {
	for i := range webhooks {
		for _, rejected := range webhooks[i].rejections {
			if rejected.response == nil || rejected.reason == "" || (rejected.help == "") != (rejected == rejectUndiagnosed) {
				t.Errorf("%s: %+v", webhooks[i].name, rejected)
			}
		}
	}
}

// FuzzSignature: only the signature made with a secret is accepted.
func FuzzSignature(f *testing.F) {
	body := []byte(okPostback)
	f.Add(signatureOf(testSecret, body), "", body)
	f.Add("sha256=", "sha1=00", body)
	f.Add(strings.Repeat("0", 64), "", []byte{})
	f.Add("sha256="+strings.Repeat("f", 64), "", []byte("\"\\"))
	f.Fuzz(func(t *testing.T, value, old string, body []byte) {
		secrets := appSecrets{keys: keysOf([]string{"one", testSecret})}
		header := http.Header{headerSignature: {value}, headerSignatureOld: {old}}
		signer, err := findSigner(secrets, header, body)
		want := signatureOf(testSecret, body)
		if strings.EqualFold(value, want) && strings.HasPrefix(value, signatureScheme) {
			if signer != 1 || err != nil {
				t.Errorf("rejected: %d, %v", signer, err)
			}
			return
		}
		var rejected *rejection
		if signer >= 0 && !strings.EqualFold(value, signatureOf("one", body)) || err != nil && !errors.As(err, &rejected) {
			t.Errorf("%q accepted as %d, or an unknown error: %v", value, signer, err)
		}
		signature, _ := parseSignature(header)
		if diagnose(secrets.keys, signature, body).help == "" {
			t.Error("no help")
		}
	})
}
