package publish

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// fault is an error that waiting does not mend: the configuration, here or of
// the server, has to change.
type fault struct{ error }

func (f fault) Unwrap() error { return f.error }

func faultf(format string, args ...any) error { return fault{fmt.Errorf(format, args...)} }

func isFault(err error) bool {
	var f fault
	return errors.As(err, &f)
}

// explain says what to do about an error of connecting. It returns a fault where
// trying again is of no use.
func (c *Config) explain(err error) error {
	switch {
	case c.InProcess != nil:
		// It is there and cannot be away, and a refusal shows only as a closed pipe,
		// ten seconds later.
		return faultf("%s refuses the connection (%w): check GATEWAY_EMBEDDED_TOKEN", c.where(), err)
	case isRefused(err):
		return faultf("%s refuses the credentials (%w): %s", c.where(), err, c.credentialSettings())
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return faultf("%s knows no nkeys (%w): unset GATEWAY_NATS_NKEY and GATEWAY_NATS_CREDS, or give the server an nkey user", c.where(), err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return faultf("%s offers no TLS (%w), but GATEWAY_NATS_CA, GATEWAY_NATS_CERT or a tls:// URL in GATEWAY_NATS_URL asks for it", c.where(), err)
	case isUntrusted(err):
		return faultf("the certificate of %s is not accepted (%w): check GATEWAY_NATS_CA and the host names in GATEWAY_NATS_URL", c.where(), err)
	case isClientCertRefused(err), c.Cert == "" && isHungUp(err):
		return faultf("%s refuses the TLS handshake (%w): check GATEWAY_NATS_CERT and GATEWAY_NATS_KEY", c.where(), err)
	default:
		return fmt.Errorf("cannot reach %s: %w", c.where(), err)
	}
}

func isRefused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}

func isUntrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &authority) ||
		errors.As(err, &host) || errors.As(err, &invalid)
}

// isClientCertRefused goes by the text: the alert that a TLS server sends has no
// exported type.
func isClientCertRefused(err error) bool {
	return strings.Contains(err.Error(), "remote error: tls:")
}

// isHungUp tells whether the server ended the connection right after the
// handshake. That is how a missing client certificate looks where the alert is
// overtaken by the end of the connection.
func isHungUp(err error) bool {
	return errors.Is(err, nats.ErrTLS) && strings.Contains(err.Error(), "closed by remote after TLS handshake")
}

// credentialSettings names the settings that the refused credentials came from.
func (c *Config) credentialSettings() string {
	switch {
	case c.urlHasUser():
		return "check the credentials in GATEWAY_NATS_URL"
	case c.Creds != "":
		return "check GATEWAY_NATS_CREDS"
	case c.NKey != "":
		return "check GATEWAY_NATS_NKEY"
	case c.User != "":
		return "check GATEWAY_NATS_USER and GATEWAY_NATS_PASSWORD"
	case c.Token != "":
		return "check GATEWAY_NATS_TOKEN"
	default:
		return "none are set; set GATEWAY_NATS_CREDS, GATEWAY_NATS_NKEY, GATEWAY_NATS_USER with GATEWAY_NATS_PASSWORD, or GATEWAY_NATS_TOKEN"
	}
}

func (c *Config) urlHasUser() bool {
	for _, u := range c.servers() {
		if u.User != nil {
			return true
		}
	}
	return false
}
