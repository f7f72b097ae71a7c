package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// newTLSConfig serves the certificate that the files of the settings hold now, and asks
// callers for one that GATEWAY_TLS_CLIENT_CA has signed, where that is set; also after
// the files have changed. Connections that stand are not asked again.
func newTLSConfig(s *settings, files *rereader) (*tls.Config, error) {
	t := &servedTLS{}
	err := files.load(&watchedFiles{
		settings: "GATEWAY_TLS_CERT, GATEWAY_TLS_KEY", paths: []string{s.TLSCert, s.TLSKey}, use: t.useCertificate,
	})
	if err == nil && s.TLSClientCA != "" {
		err = files.load(&watchedFiles{settings: "GATEWAY_TLS_CLIENT_CA", paths: []string{s.TLSClientCA}, use: t.useClientCA})
	}
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.config.Load(), nil },
	}, nil
}

// servedTLS is what handshakes go by.
type servedTLS struct {
	certificate tls.Certificate // of the rereader's looks, which come one after the other
	clients     *x509.CertPool  // the same; nil where callers need no certificate

	config atomic.Pointer[tls.Config]
}

func (t *servedTLS) useCertificate(contents [][]byte) ([]any, error) {
	certificate, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	t.certificate = certificate
	t.serve()
	return []any{"expires", certificate.Leaf.NotAfter}, nil
}

func (t *servedTLS) useClientCA(contents [][]byte) ([]any, error) {
	clients, n, err := readAuthorities(contents[0])
	if err != nil {
		return nil, err
	}
	t.clients = clients
	t.serve()
	return []any{"live", n}, nil
}

// serve has the next handshake go by what is there now. A session that is resumed is
// one of these: its chain is checked against the authorities of now.
func (t *servedTLS) serve() {
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"}, // net/http sets them in the outer one only
		Certificates: []tls.Certificate{t.certificate},
	}
	if t.clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, t.clients
	}
	t.config.Store(c)
}

// readAuthorities takes all certificates or none: one that is passed over in silence
// would be found missing by those whom it signed.
func readAuthorities(text []byte) (pool *x509.CertPool, n int, err error) {
	const begin = "-----BEGIN CERTIFICATE-----"
	want := bytes.Count(text, []byte(begin))
	if want == 0 {
		return nil, 0, errors.New("holds no certificate: expected PEM, " + begin)
	}
	pool = x509.NewCertPool()
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, 0, fmt.Errorf("certificate %d of %d cannot be read (%w): expected PEM", n+1, want, err)
		}
		pool.AddCert(certificate)
		n++
	}
	if n != want {
		return nil, 0, fmt.Errorf("only %d of %d certificates can be read: expected PEM, each from its BEGIN to its END line", n, want)
	}
	return pool, n, nil
}

// handshakeFailure is a way in which a TLS handshake fails. net/http has no place
// where the error itself can be had, so it is known by its text.
type handshakeFailure struct {
	reason string   // in the metric
	signs  []string // of which the text has one
	help   string   // for the log; empty for what scanners cause all day
}

// handshakeFailures is in the order in which the signs are looked for.
var handshakeFailures = []handshakeFailure{
	{"no_certificate", []string{"client didn't provide a certificate"},
		"GATEWAY_TLS_CLIENT_CA asks for a certificate, and the caller has none that an authority of that file has signed: " +
			"switch client certificates (mTLS) on for the app in Meta's App Dashboard; Telegram has none"},
	{"bad_certificate", []string{"failed to verify certificate", "client certificate"},
		"the caller's certificate has expired or is signed by another authority: compare GATEWAY_TLS_CLIENT_CA with what the platform documents"},
	{"refused_by_caller", []string{"remote error: "},
		"the caller does not accept the gateway's own certificate: see that GATEWAY_TLS_CERT is valid, has the host name and its whole chain"},
	{"other", []string{""}, ""},
}

// handshakeLog is where net/http writes its errors. It tells the handshakes that keep
// deliveries away from those that only somebody at the door tries: a line a minute for
// each reason, and all of them in a metric. Lines are written at the level debug, too,
// but for a panic in a handler, which is an error of the gateway.
type handshakeLog struct {
	log    *slog.Logger
	failed *prometheus.CounterVec
	limit  map[string]*rate.Sometimes
}

func newHandshakeLog(log *slog.Logger, reg prometheus.Registerer) *handshakeLog {
	l := &handshakeLog{log: log, limit: make(map[string]*rate.Sometimes), failed: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gateway_tls_handshake_failures_total",
		Help: "TLS handshakes on the public listener that failed, by the reason.",
	}, []string{"reason"})}
	reg.MustRegister(l.failed)
	for _, f := range handshakeFailures {
		l.failed.WithLabelValues(f.reason)
		l.limit[f.reason] = &rate.Sometimes{Interval: time.Minute}
	}
	return l
}

// Write takes one line, as log.Logger does. It never fails.
func (l *handshakeLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "http: panic serving ") {
		l.log.Error("a request has failed because of an error in the gateway: please report it", "panic", text)
		return len(line), nil
	}
	l.log.Debug(text)
	if about, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		remote, cause, _ := strings.Cut(about, ": ")
		l.count(remote, cause)
	}
	return len(line), nil
}

func (l *handshakeLog) count(remote, cause string) {
	for _, f := range handshakeFailures {
		if !f.has(cause) {
			continue
		}
		l.failed.WithLabelValues(f.reason).Inc()
		if f.help != "" {
			l.limit[f.reason].Do(func() {
				// What the caller's certificate says can be long.
				l.log.Warn("TLS handshake failed", "reason", f.reason, "error", fmt.Sprintf("%.300s", cause), "help", f.help, "remote", remote)
			})
		}
		return
	}
}

func (f *handshakeFailure) has(cause string) bool {
	for _, sign := range f.signs {
		if strings.Contains(cause, sign) {
			return true
		}
	}
	return false
}
