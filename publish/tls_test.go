package publish_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// authority is a certificate authority for one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	path string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.path, _, a.key = a.sign(a.cert)
	return a
}

// issue returns the paths of a certificate for one address, and of its key.
func (a *authority) issue(ip string) (cert, key string) {
	a.t.Helper()
	cert, key, _ = a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.ParseIP(ip)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return cert, key
}

func (a *authority) sign(template *x509.Certificate) (certPath, keyPath string, key *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := key
	if a.key != nil {
		signer = a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certPath = writeFile(a.t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyPath = writeFile(a.t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return certPath, keyPath, key
}

func TestTLS(t *testing.T) {
	needsProcess(t)
	ca, stranger := newAuthority(t), newAuthority(t)
	cert, key := ca.issue("127.0.0.1")
	otherHost, otherHostKey := ca.issue("127.0.0.2")
	clientCert, clientKey := ca.issue("127.0.0.1")
	secure := fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, key)
	mutual := fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", cert, key, ca.path)
	tests := []struct {
		name   string
		server string
		change func(*Config)
		want   string // of the error; empty: it works
	}{
		{"trusted", secure, func(c *Config) { c.CA = ca.path }, ""},
		{"client certificate", mutual, func(c *Config) { c.CA, c.Cert, c.Key = ca.path, clientCert, clientKey }, ""},
		{"no CA", secure, func(*Config) {}, "is not accepted"},
		{"another CA", secure, func(c *Config) { c.CA = stranger.path }, "check the CA and the host names in the URLs"},
		{"another host", fmt.Sprintf("tls { cert_file: %q, key_file: %q }", otherHost, otherHostKey),
			func(c *Config) { c.CA = ca.path }, "check the CA and the host names in the URLs"},
		{"no client certificate", mutual, func(c *Config) { c.CA = ca.path }, "check the client certificate and its key"},
		{"no TLS", "", func(c *Config) { c.CA = ca.path }, "offers no TLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := serverConfig(natstest.Start(t, tt.server))
			tt.change(&cfg)
			if tt.want == "" {
				mustPublish(t, mustOpen(t, cfg), clicks("m", 3)...)
			} else if got := openError(t, cfg); !strings.Contains(got, tt.want) {
				t.Errorf("\n got %s\nwant …%s", got, tt.want)
			}
		})
	}
}
