package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

// Timeouts of the listeners. Meta gives up on a delivery after a few seconds;
// a sender that is slower than this holds a slot for nothing.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	idleTimeout       = 2 * time.Minute // longer than that of the usual proxies, so that they close first
	maxHeaderBytes    = 64 << 10
)

func (g *gateway) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + g.settings.PublishTimeout + readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Broken handshakes and the like: not the gateway's errors.
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// newTLSConfig serves the certificate that the files hold now, also after they
// have changed.
func newTLSConfig(cert, key string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{cert: cert, key: key, log: log}
	if _, err := c.load(); err != nil {
		return nil, fmt.Errorf("GATEWAY_TLS_CERT, GATEWAY_TLS_KEY: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

// certificate is read again when a handshake finds its files changed. It is safe
// for concurrent use.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	stamp   [2]time.Time
	current *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.load() }

// load returns the certificate of the files, or the last good one where they do
// not make one: they may be in the middle of a change.
func (c *certificate) load() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp, err := modified(c.cert, c.key)
	if err == nil && stamp == c.stamp {
		return c.current, nil
	}
	var fresh tls.Certificate
	if err == nil {
		fresh, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	switch {
	case err == nil:
		if c.current != nil {
			c.log.Info("the TLS certificate has changed: the new one is in use", "file", c.cert)
		}
		c.current, c.stamp = &fresh, stamp
	case c.current == nil:
		return nil, err
	case stamp != c.stamp:
		c.stamp = stamp
		c.log.Error("the changed TLS certificate cannot be used, the old one stays in use", "file", c.cert, "error", err)
	}
	return c.current, nil
}

func modified(files ...string) (stamp [2]time.Time, err error) {
	for i, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}
