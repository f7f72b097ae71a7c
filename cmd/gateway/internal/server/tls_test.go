package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	stdlog "log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/publish/natstest"
)

func newCertificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestErrorLog: what somebody at the door can cause is counted and does not fill
// the log, whatever it is; net/http's other lines are no handshakes.
func TestErrorLog(t *testing.T) {
	log := &natstest.Log{}
	reg := prometheus.NewRegistry()
	l := newErrorLog(slog.New(slog.NewTextHandler(log, nil)), reg)
	for range 3 {
		fmt.Fprintf(l, "http: TLS handshake error from [::1]:4711: EOF\n")
		fmt.Fprintf(l, "http: TLS handshake error from 192.0.2.1:4711: tls: client didn't provide a certificate\n")
		fmt.Fprintf(l, "http: URL query contains semicolon\n")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	if want := map[string]float64{"no_certificate": 3, "bad_certificate": 0, "refused_by_caller": 0, "other": 3}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "remote=192.0.2.1:4711") {
		t.Errorf("%d lines\n%s", lines, log)
	}
}

// TestPanicIsAnError: net/http survives a panic of a handler, and the operator hears
// of it.
func TestPanicIsAnError(t *testing.T) {
	var log natstest.Log
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }))
	server.Config.ErrorLog = stdlog.New(newErrorLog(slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry()), "", 0)
	server.Start()
	defer server.Close()
	if response, err := http.Get(server.URL); err == nil {
		response.Body.Close()
		t.Errorf("answered %s", response.Status)
	}
	natstest.Eventually(t, "the panic in the log", func() bool {
		return strings.Contains(log.String(), "level=ERROR") && strings.Contains(log.String(), "a bug")
	})
}

func TestParseCertificates(t *testing.T) {
	der := newCertificate(t)
	a, b := pemOf("CERTIFICATE", der), pemOf("CERTIFICATE", newCertificate(t))
	for _, test := range []struct {
		name, text string
		n          int
		want       string // of the error
	}{
		{"one", a, 1, ""},
		{"two, with remarks and a key between them", "# ours\n" + a + pemOf("PRIVATE KEY", []byte("x")) + b, 2, ""},
		{"empty", "", 0, "contains no certificate: expected PEM, -----BEGIN CERTIFICATE-----"},
		{"DER", string(der), 0, "contains no certificate: expected PEM, -----BEGIN CERTIFICATE-----"},
		{"cut", a + b[:len(b)-10], 0, "only 1 of 2 certificates can be read: expected PEM, each from its BEGIN to its END line"},
		{"no certificate in it", a + pemOf("CERTIFICATE", []byte("x")), 0, "certificate 2 of 2 cannot be read (x509: malformed certificate): expected PEM"},
	} {
		_, n, err := parseCertificates([]byte(test.text))
		if got := fmt.Sprint(err); n != test.n || test.want != "" && got != test.want || test.want == "" && err != nil {
			t.Errorf("%s: got %d, %v; want %d, %s", test.name, n, err, test.n, test.want)
		}
	}
}
