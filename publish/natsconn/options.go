package natsconn

import (
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// The client detects a dead peer within pingInterval times maxPings, and a server that
// is back within reconnectWait and its jitter.
const (
	connectTimeout  = 2 * time.Second // to one server, handshakes included
	reconnectWait   = 100 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	pingInterval    = 2 * time.Second
	maxPings        = 2
	// writeTimeout bounds one write to the socket. The client blocks all other
	// publishers meanwhile; its default of a minute would hold every delivery when a
	// server stops reading.
	writeTimeout = time.Second
)

// options returns the client's options without handlers. It reads every file once, so
// that an error names the field. The client reads the files again at each connect, so
// credentials can be rotated.
func (c *Config) options() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Nothing is buffered: the platform repeats a delivery that is not stored now.
		nats.ReconnectBufSize(-1),
		nats.FlusherTimeout(writeTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		// Rejected credentials stop a start, but not a running gateway: they may be in
		// the middle of a rotation.
		nats.IgnoreAuthErrorAbort(),
	}
	if c.InProcess != nil {
		opts = append(opts, nats.InProcessServer(c.InProcess))
	}
	opts, err := c.appendFiles(append(opts, c.login()...))
	if err != nil {
		return nil, err
	}
	return c.appendTLS(opts)
}

// login is by user and password or by token. Credentials in a URL come first: the
// client rejects a token that is given in both ways.
func (c *Config) login() []nats.Option {
	switch {
	case c.Secret != nil && c.urlHasUser():
		return nil
	case c.Secret != nil && c.User != "":
		return []nats.Option{nats.UserInfoHandler(func() (string, string) { return c.User, c.Secret() })}
	case c.Secret != nil:
		return []nats.Option{nats.TokenHandler(c.Secret)}
	}
	var opts []nats.Option
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	return opts
}

func (c *Config) appendFiles(opts []nats.Option) ([]nats.Option, error) {
	if c.Creds != "" {
		if err := checkCreds(c.Creds); err != nil {
			return nil, Errorf("Creds", "%s is not a credentials file: %w", c.Creds, err)
		}
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.NKey != "" {
		opt, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return nil, Errorf("NKey", "%s is not a file with a user's seed: %w", c.NKey, err)
		}
		opts = append(opts, opt)
	}
	return opts, nil
}

// checkCreds reads a .creds file as the client will.
func checkCreds(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if _, err = nkeys.ParseDecoratedJWT(text); err != nil {
		return err
	}
	key, err := nkeys.ParseDecoratedUserNKey(text)
	if err != nil {
		return err
	}
	key.Wipe()
	return nil
}

func (c *Config) appendTLS(opts []nats.Option) ([]nats.Option, error) {
	var scratch nats.Options
	if c.CA != "" {
		opt := nats.RootCAs(c.CA)
		if err := opt(&scratch); err != nil {
			return nil, &ConfigError{"CA", err}
		}
		opts = append(opts, opt)
	}
	if c.Cert != "" || c.Key != "" {
		opt := nats.ClientCert(c.Cert, c.Key)
		if err := opt(&scratch); err != nil {
			return nil, &ConfigError{"Cert", err}
		}
		opts = append(opts, opt)
	}
	return opts, nil
}
