package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/ingest/simulate"
)

// authority signs certificates of one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name() + " CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}}
	der, key := a.sign(a.cert)
	a.key, a.pem = key, pemOf("CERTIFICATE", der)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	return a
}

func (a *authority) sign(template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// client returns a caller's certificate that ends at a time.
func (a *authority) client(end time.Time) *tls.Certificate {
	a.t.Helper()
	der, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client.webhooks.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// writeCertificate makes a self-signed certificate for the loopback.
func writeCertificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	a := &authority{t: t, cert: &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gateway"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}}
	der, private := a.sign(a.cert)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	put(t, key, pemOf("PRIVATE KEY", pkcs8))
	put(t, cert, pemOf("CERTIFICATE", der))
}

// withTLS returns the settings of a gateway with a certificate in dir.
func withTLS(t *testing.T, dir string, further ...string) map[string]string {
	t.Helper()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	return env(append(further, "TLS_CERT", cert, "TLS_KEY", key, "META_APP_SECRETS", hush, "META_VERIFY_TOKEN", hush)...)
}

// caller makes TLS connections as a platform would, with a certificate or none.
type caller struct {
	*http.Client
	t *testing.T
}

func newCaller(t *testing.T, certificate *tls.Certificate) caller {
	t.Helper()
	config := &tls.Config{
		InsecureSkipVerify: true, // the gateway's certificate is looked at by TestTLS
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	if certificate != nil {
		// Whatever authorities the server asks for.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return caller{&http.Client{Transport: transport}, t}
}

// deliver posts a signed click. The error is that of the connection.
func (c caller) deliver(url string) (*http.Response, error) {
	c.t.Helper()
	request, err := simulate.Request(url, hush, simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a"}))
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := c.Do(request)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	return response, err
}

// wantStored delivers and returns the serial number of the gateway's certificate.
func (c caller) wantStored(url string) int64 {
	c.t.Helper()
	response, err := c.deliver(url)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		c.t.Errorf("answered %s by %s, want 200 by HTTP/2", response.Status, response.Proto)
	}
	return response.TLS.PeerCertificates[0].SerialNumber.Int64()
}

func (c caller) wantRefused(url string) {
	c.t.Helper()
	if response, err := c.deliver(url); err == nil {
		c.t.Errorf("answered %s, want no connection", response.Status)
	}
}

// TestTLS: a changed certificate is served without a restart, and one that cannot be
// used leaves the old one in place.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	in := startInside(t, withTLS(t, dir))
	if !strings.HasPrefix(in.at.Webhook, "https://") {
		t.Fatalf("the webhook is at %s", in.at.Webhook)
	}
	serial := func() int64 { return newCaller(t, nil).wantStored(in.at.Webhook) }
	if got := serial(); got != 1 {
		t.Errorf("serves certificate %d", got)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 2)
	in.awaitLog(0, "changed file reloaded", "GATEWAY_TLS_CERT", `"expires":`)
	if got := serial(); got != 2 {
		t.Errorf("after the change it serves certificate %d", got)
	}
	put(t, cert, "half")
	in.awaitLog(0, "keeping what was loaded before", "GATEWAY_TLS_CERT", "failed to find any PEM data")
	if got := serial(); got != 2 {
		t.Errorf("with a broken file it serves certificate %d", got)
	}
	if got := in.metric("gateway_secrets_last_reload_successful"); got != 0 {
		t.Errorf("gateway_secrets_last_reload_successful is %v", got)
	}
}

// TestSessionsAreResumed: a caller that comes again saves a part of the handshake.
func TestSessionsAreResumed(t *testing.T) {
	in := startInside(t, withTLS(t, t.TempDir()))
	c := newCaller(t, nil)
	c.wantStored(in.at.Webhook)
	c.CloseIdleConnections()
	if response, err := c.deliver(in.at.Webhook); err != nil || !response.TLS.DidResume {
		t.Errorf("not resumed: %v", err)
	}
}

// TestClientCertificates is GATEWAY_TLS_CLIENT_CA from outside: who has what, and what
// the operator sees.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	platform, next, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	ca, hour := filepath.Join(dir, "ca.pem"), time.Now().Add(time.Hour)
	put(t, ca, platform.pem)
	in := startInside(t, withTLS(t, dir, "TLS_CLIENT_CA", ca))
	url := in.at.Webhook

	kept := newCaller(t, platform.client(hour))
	kept.wantStored(url)
	newCaller(t, nil).wantRefused(url)
	newCaller(t, stranger.client(hour)).wantRefused(url)
	newCaller(t, platform.client(time.Now().Add(-time.Minute))).wantRefused(url)
	for reason, want := range map[string]float64{"no_certificate": 1, "bad_certificate": 2, "refused_by_caller": 0} {
		eventually(t, reason, func() bool {
			return in.metric(`gateway_tls_handshake_failures_total{reason="`+reason+`"}`) == want
		})
		if want > 0 {
			in.awaitLog(0, `"level":"WARN"`, `"reason":"`+reason+`"`)
		}
		if got := in.logLines(0, `"level":"WARN"`, `"reason":"`+reason+`"`); float64(got) != min(want, 1) {
			t.Errorf("%s: %d warnings", reason, got)
		}
	}

	// Both authorities while the platform changes from one to the other.
	put(t, ca, platform.pem+next.pem)
	in.awaitLog(0, "changed file reloaded", "GATEWAY_TLS_CLIENT_CA", `"live":2`)
	newCaller(t, platform.client(hour)).wantStored(url)
	newCaller(t, next.client(hour)).wantStored(url)

	n := len(in.log.String())
	put(t, ca, next.pem[:len(next.pem)/2])
	in.awaitLog(n, "keeping what was loaded before", "GATEWAY_TLS_CLIENT_CA", "only 0 of 1 certificates can be read")
	newCaller(t, platform.client(hour)).wantStored(url)

	again := newCaller(t, platform.client(hour))
	again.wantStored(url)
	again.CloseIdleConnections()
	put(t, ca, next.pem)
	in.awaitLog(n, "changed file reloaded", "GATEWAY_TLS_CLIENT_CA", `"live":1`)
	newCaller(t, platform.client(hour)).wantRefused(url)
	newCaller(t, next.client(hour)).wantStored(url)
	again.wantRefused(url) // its session does not outlive the authority
	kept.wantStored(url)   // its connection does
}

// TestCallerRefusesUs: a certificate of the gateway that callers do not accept stops all
// deliveries, so it has to be seen.
func TestCallerRefusesUs(t *testing.T) {
	in := startInside(t, withTLS(t, t.TempDir()))
	if _, err := http.Get(in.at.Webhook); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Fatalf("got %v", err)
	}
	in.awaitLog(0, `"level":"WARN"`, "TLS handshake failed", `"reason":"refused_by_caller"`, "GATEWAY_TLS_CERT")
}

// TestBadClientCA: a file that holds no authority does not start a gateway that would
// refuse everybody.
func TestBadClientCA(t *testing.T) {
	dir := t.TempDir()
	given := withTLS(t, dir, "TLS_CLIENT_CA", writeFile(t, "none"))
	var environment []string
	for name, value := range given {
		environment = append(environment, settings.Prefix+name+"="+value)
	}
	p := newProcess(t, dir, environment...)
	out, _ := p.cmd.CombinedOutput()
	if status := p.cmd.ProcessState.ExitCode(); status != exitFailed || !strings.Contains(string(out), "GATEWAY_TLS_CLIENT_CA: contains no certificate: expected PEM") {
		t.Errorf("status %d\n%s", status, out)
	}
}
