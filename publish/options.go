package publish

import (
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// How the connection is kept. A dead peer is noticed within pingInterval times
// maxPings; a server that is back is found within reconnectWait and its jitter.
const (
	connectTimeout  = 2 * time.Second // to one server, handshakes included
	reconnectWait   = 100 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	pingInterval    = 2 * time.Second
	maxPings        = 2
	// writeTimeout is for one write to the socket. While it lasts the client lets
	// nobody else publish; its default of a minute would hold every delivery when
	// a server stops reading.
	writeTimeout = time.Second
)

// options returns the connection options without the handlers. Every file is
// read here once, so that one that is missing is known by its setting; the
// client reads it again at each connect, which lets credentials be rotated.
func (c *Config) options() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name("postback-gateway"),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Nothing is kept for later: a delivery that is not stored now is
		// delivered again by the platform.
		nats.ReconnectBufSize(-1),
		nats.FlusherTimeout(writeTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		// Refused credentials end Open, but not a gateway that runs: they may be
		// in the middle of a rotation.
		nats.IgnoreAuthErrorAbort(),
	}
	if c.InProcess != nil {
		opts = append(opts, nats.InProcessServer(c.InProcess))
	}
	if c.relay {
		// A connection that is restored between two messages would let the second
		// one arrive although the first one was lost with the old connection: a new
		// one is made between two attempts instead.
		opts = append(opts, nats.NoReconnect())
	}
	opts, err := c.appendCredentials(opts)
	if err != nil {
		return nil, err
	}
	return c.appendTLS(opts)
}

func (c *Config) appendCredentials(opts []nats.Option) ([]nats.Option, error) {
	if c.Creds != "" {
		if err := checkCreds(c.Creds); err != nil {
			return nil, faultf("GATEWAY_NATS_CREDS: %s is no credentials file: %w", c.Creds, err)
		}
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.NKey != "" {
		opt, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return nil, faultf("GATEWAY_NATS_NKEY: %s is no file with a user's seed: %w", c.NKey, err)
		}
		opts = append(opts, opt)
	}
	return append(opts, c.login()...), nil
}

// login is by name and password or by token. What stands in a URL comes before
// either; the client takes it for an error to be given a token in both ways.
func (c *Config) login() []nats.Option {
	inURL := slices.ContainsFunc(c.servers(), func(u *url.URL) bool { return u.User != nil })
	switch {
	case c.Secret != nil && inURL:
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
			return nil, faultf("GATEWAY_NATS_CA: %w", err)
		}
		opts = append(opts, opt)
	}
	if c.Cert != "" || c.Key != "" {
		opt := nats.ClientCert(c.Cert, c.Key)
		if err := opt(&scratch); err != nil {
			return nil, faultf("GATEWAY_NATS_CERT, GATEWAY_NATS_KEY: %w", err)
		}
		opts = append(opts, opt)
	}
	return opts, nil
}
