package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/reload"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

// newTLSConfig serves the certificate in the files of the settings, and requires a
// certificate that GATEWAY_TLS_CLIENT_CA has signed if that is set. Both are reloaded
// when the files change; connections that exist stay.
func newTLSConfig(s *settings.Settings, files *reload.Files) (*tls.Config, error) {
	t := &reloadedTLS{}
	err := files.Load(&reload.Group{
		Settings: "GATEWAY_TLS_CERT, GATEWAY_TLS_KEY", Paths: []string{s.TLSCert, s.TLSKey}, Load: t.loadCertificate,
	})
	if err == nil && s.TLSClientCA != "" {
		err = files.Load(&reload.Group{Settings: "GATEWAY_TLS_CLIENT_CA", Paths: []string{s.TLSClientCA}, Load: t.loadClientCA})
	}
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.config.Load(), nil },
	}, nil
}

// reloadedTLS has the configuration of the next handshake. Only one load runs at a time.
type reloadedTLS struct {
	certificate tls.Certificate
	clients     *x509.CertPool // nil if callers need no certificate

	config atomic.Pointer[tls.Config]
}

func (t *reloadedTLS) loadCertificate(contents [][]byte) ([]any, error) {
	certificate, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	t.certificate = certificate
	t.update()
	return []any{"expires", certificate.Leaf.NotAfter}, nil
}

func (t *reloadedTLS) loadClientCA(contents [][]byte) ([]any, error) {
	clients, n, err := parseCertificates(contents[0])
	if err != nil {
		return nil, err
	}
	t.clients = clients
	t.update()
	return []any{"live", n}, nil
}

// update makes a new configuration. It applies to resumed sessions too: crypto/tls checks
// their chain against the new authorities.
func (t *reloadedTLS) update() {
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"}, // net/http sets them only in the outer configuration
		Certificates: []tls.Certificate{t.certificate},
	}
	if t.clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, t.clients
	}
	t.config.Store(c)
}

// parseCertificates accepts all certificates or none: if it ignored one, callers whose
// certificate that one has signed would be rejected.
func parseCertificates(text []byte) (pool *x509.CertPool, n int, err error) {
	const begin = "-----BEGIN CERTIFICATE-----"
	total := bytes.Count(text, []byte(begin))
	if total == 0 {
		return nil, 0, errors.New("contains no certificate: expected PEM, " + begin)
	}
	pool = x509.NewCertPool()
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, 0, fmt.Errorf("certificate %d of %d cannot be read (%w): expected PEM", n+1, total, err)
		}
		pool.AddCert(certificate)
		n++
	}
	if n != total {
		return nil, 0, fmt.Errorf("only %d of %d certificates can be read: expected PEM, each from its BEGIN to its END line", n, total)
	}
	return pool, n, nil
}
