package natsconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// ConfigError is an error that no retry helps against: the configuration has to
// change, here or on the server.
type ConfigError struct {
	// Field is the field of the configuration to look at first. It can be empty.
	Field string
	Err   error
}

func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns the error without the field.
func (e *ConfigError) Unwrap() error { return e.Err }

// Errorf returns a ConfigError about a field.
func Errorf(field, format string, args ...any) error {
	return &ConfigError{field, fmt.Errorf(format, args...)}
}

// IsConfigError reports whether no retry helps against err.
func IsConfigError(err error) bool {
	var wrong *ConfigError
	return errors.As(err, &wrong)
}

// explain says what to do about an error of connecting.
func (c *Config) explain(err error) error {
	where := c.Where()
	switch {
	case c.InProcess != nil:
		// The server runs in this process, so it cannot be away. A rejection only shows
		// as a closed pipe, ten seconds later.
		return Errorf("Token", "%s refuses the connection (%w): check the token", where, err)
	case isRejected(err):
		field, hint := c.usedLogin()
		return Errorf(field, "%s refuses the credentials (%w): %s", where, err, hint)
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return Errorf("NKey", "%s does not support nkeys (%w): configure no nkey and no credentials file, or give the server an nkey user", where, err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return Errorf("CA", "%s offers no TLS (%w), but a CA, a client certificate or a tls:// URL requires it", where, err)
	case isUntrusted(err):
		return Errorf("CA", "the certificate of %s is not accepted (%w): check the CA and the host names in the URLs", where, err)
	case isClientCertRejected(err), c.Cert == "" && isHungUp(err):
		return Errorf("Cert", "%s refuses the TLS handshake (%w): check the client certificate and its key", where, err)
	default:
		return fmt.Errorf("cannot reach %s: %w", where, err)
	}
}

// usedLogin returns the field that the rejected credentials came from, and a hint.
func (c *Config) usedLogin() (field, hint string) {
	switch {
	case c.urlHasUser():
		return "Servers", "check the credentials in the URL"
	case c.Creds != "":
		return "Creds", "check the credentials file"
	case c.NKey != "":
		return "NKey", "check the nkey seed"
	case c.User != "":
		return "User", "check the user and the password"
	case c.Token != "":
		return "Token", "check the token"
	default:
		return "", "none are configured: expected a credentials file, an nkey seed, a user and password, or a token"
	}
}

func isRejected(err error) bool {
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

// isClientCertRejected compares the text: the alert that a TLS server sends has no
// exported type.
func isClientCertRejected(err error) bool {
	return strings.Contains(err.Error(), "remote error: tls:")
}

// isHungUp reports whether the server closed the connection right after the handshake.
// A missing client certificate looks like that if the close overtakes the alert.
func isHungUp(err error) bool {
	return errors.Is(err, nats.ErrTLS) && strings.Contains(err.Error(), "closed by remote after TLS handshake")
}
