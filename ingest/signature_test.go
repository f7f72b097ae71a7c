package ingest

import (
	"bytes"
	"encoding/json"
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

func TestVerifySecrets(t *testing.T) {
	v := newVerifier([]string{"old", "new"})
	for secret, want := range map[string]int{"old": 1, "new": 2, "other": 0} {
		header := http.Header{headerSignature: {signatureOf(secret, []byte("body"))}}
		if got, err := v.verify(header, []byte("body")); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: got %d, %v", secret, got, err)
		}
	}
	upper := strings.ToUpper(signatureOf("old", []byte("body")))
	header := http.Header{headerSignature: {"sha256=" + upper[len("sha256="):]}}
	if _, err := v.verify(header, []byte("body")); err != nil {
		t.Errorf("upper-case hex: %v", err)
	}
}

// TestSignatureReasons: the log and the metric tell why, the answer does not.
func TestSignatureReasons(t *testing.T) {
	// As Meta writes it, and as JSON libraries write it after parsing.
	const original = `{"object":"page","entry":[{"id":"1","t":"\u00dcber \ud83d\ude00 a\/b \"q\""}]}`
	signed := signatureOf(testSecret, []byte(original))
	parsed := `{"object": "page", "entry": [{"id": "1", "t": "Über 😀 a/b \"q\""}]}`
	for _, test := range []struct {
		name, body string
		header     map[string]string
		reason     string
	}{
		{"missing", original, map[string]string{headerSignature: ""}, reasonMissing},
		{"old header", original, map[string]string{headerSignature: "", headerSignatureOld: "sha1=00"}, reasonSHA1},
		{"old scheme", original, map[string]string{headerSignature: "sha1=" + strings.Repeat("0", 40)}, reasonSHA1},
		{"old length", original, map[string]string{headerSignature: "sha256=" + strings.Repeat("0", 40)}, reasonSHA1},
		{"not hex", original, map[string]string{headerSignature: "sha256=" + strings.Repeat("g", 64)}, reasonMalformed},
		{"another secret", original, map[string]string{headerSignature: signatureOf("other", []byte(original))}, reasonMismatch},
		{"re-encoded", parsed, map[string]string{headerSignature: signed}, reasonReencoded},
		{"compact", strings.ReplaceAll(parsed, ": ", ":"), map[string]string{headerSignature: signed}, reasonReencoded},
		{"line break added", original + "\n", map[string]string{headerSignature: signed}, reasonReencoded},
		{"cut", original[:20], map[string]string{headerSignature: signed}, reasonMismatch},
		{"re-encoded, not UTF-8", "{\"t\": \"\xff\"}", map[string]string{headerSignature: signatureOf(testSecret, []byte("{\"t\":\"\xff\"}"))}, reasonMismatch},
		{"re-encoded, not an object", `[{}, {}]`, map[string]string{headerSignature: signatureOf(testSecret, []byte(`[{},{}]`))}, reasonMismatch},
		{"re-encoded, too large to look into", parsed + strings.Repeat(" ", diagnoseLimit), map[string]string{headerSignature: signed}, reasonMismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			ts := newTestServer(t, nil)
			a := ts.post(t, []byte(test.body), test.header)
			if a.status != 401 || strings.Contains(a.body, "encode") || strings.Contains(a.body, signed) {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if n := testutil.ToFloat64(ts.metrics.signatureFailures.WithLabelValues("meta", test.reason)); n != 1 {
				t.Errorf("not counted as %s", test.reason)
			}
			if !strings.Contains(ts.log.String(), `"reason":"`+test.reason+`"`) {
				t.Errorf("log: %s", ts.log)
			}
		})
	}
}

// A flood of forged requests must not fill the log; the metric counts them all.
func TestRefusalLogIsBounded(t *testing.T) {
	ts := newTestServer(t, nil)
	for range 50 {
		ts.post(t, []byte(okPostback), map[string]string{headerSignature: ""})
	}
	if n := strings.Count(ts.log.String(), "request refused"); n == 0 || n > 10 {
		t.Errorf("%d lines", n)
	}
	if n := testutil.ToFloat64(ts.metrics.signatureFailures.WithLabelValues("meta", reasonMissing)); n != 50 {
		t.Errorf("counted %v", n)
	}
}

// TestDiagnosisIsBounded: looking into a failed signature costs as much as many valid
// deliveries, and anybody can ask for it. What is not looked into is counted and not
// logged: its reason is unknown.
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
	if n := count(reasonReencoded); n == 0 || n > requests/2 {
		t.Errorf("%v of %d requests were diagnosed", n, requests)
	}
	if n := count(reasonReencoded) + count(reasonMismatch); n != requests {
		t.Errorf("%v of %d requests were counted", n, requests)
	}
	if strings.Contains(ts.log.String(), `"reason":"mismatch"`) {
		t.Errorf("log: %s", ts.log)
	}
}

func TestEverySignatureReasonHasHelp(t *testing.T) {
	for _, reason := range []signatureError{reasonMissing, reasonMalformed, reasonSHA1, reasonReencoded, reasonMismatch} {
		if reason.Error() == "" {
			t.Errorf("%s has no help", string(reason))
		}
	}
}

// FuzzSignature: no header makes a body accepted but the one that the secret gives.
func FuzzSignature(f *testing.F) {
	body := []byte(okPostback)
	f.Add(signatureOf(testSecret, body), "", body)
	f.Add("sha256=", "sha1=00", body)
	f.Add(strings.Repeat("0", 64), "", []byte{})
	f.Add("sha256="+strings.Repeat("f", 64), "", []byte("\"\\"))
	f.Fuzz(func(t *testing.T, value, old string, body []byte) {
		v := newVerifier([]string{"one", testSecret})
		header := http.Header{headerSignature: {value}, headerSignatureOld: {old}}
		place, err := v.verify(header, body)
		want := signatureOf(testSecret, body)
		if strings.EqualFold(value, want) && strings.HasPrefix(value, signatureScheme) {
			if place != 2 || err != nil {
				t.Errorf("refused: %d, %v", place, err)
			}
			return
		}
		var reason signatureError
		if err == nil && !strings.EqualFold(value, signatureOf("one", body)) || err != nil && !errors.As(err, &reason) {
			t.Errorf("%q accepted as %d, or an unknown error: %v", value, place, err)
		}
		if help := v.diagnose(header, body).Error(); help == "" {
			t.Error("no help")
		}
	})
}

// Re-encoded JSON stays what it is when it is re-encoded again, and ASCII means ASCII.
func FuzzReencode(f *testing.F) {
	f.Add([]byte(okPostback))
	f.Add([]byte(`{"a":"\"\\","b":"é😀/"}`))
	f.Add([]byte("\xff\"\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return // any guess will do: no signature fits it
		}
		once := reencode(body, encoding{})
		if twice := reencode(once, encoding{}); !bytes.Equal(once, twice) {
			t.Errorf("%q becomes %q", once, twice)
		}
		for _, b := range reencode(body, encoding{ascii: true}) {
			if b > 0x7f {
				t.Fatalf("not ASCII: %q", b)
			}
		}
	})
}
