package natsconn

import (
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
)

// Config says which servers to connect to, and how to log in.
type Config struct {
	// Servers are NATS URLs, comma-separated. Empty with InProcess.
	Servers string
	// InProcess is a server in this process, such as *embedded.Server; nil for Servers.
	InProcess nats.InProcessConnProvider

	Creds    string // path of a .creds file
	NKey     string // path of a file with a user's seed
	User     string
	Password string
	Token    string
	CA       string // path of PEM certificates that the server's certificate is checked against
	Cert     string // path of the client's certificate, PEM
	Key      string // path of its key, PEM
	// Secret, if not nil, is called at each connect and replaces Password, or Token
	// without a User, so that the secret can change. It must return quickly.
	Secret func() string
}

// Check reports what is wrong with the servers. It connects to none of them.
func (c *Config) Check() error {
	if c.InProcess == nil && len(c.servers()) == 0 {
		return Errorf("Servers", "no server given")
	}
	for i, u := range c.servers() {
		if u == nil {
			return Errorf("Servers", "entry %d is not a URL: expected one such as nats://host:4222 (special characters of a password are written %%XX)", i+1)
		}
	}
	return nil
}

// servers returns the URLs; nil stands for one that cannot be parsed.
func (c *Config) servers() []*url.URL {
	var urls []*url.URL
	for entry := range strings.SplitSeq(c.Servers, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		if !strings.Contains(entry, "://") {
			entry = "nats://" + entry
		}
		u, err := url.Parse(entry)
		if err != nil || u.Host == "" {
			u = nil
		}
		urls = append(urls, u)
	}
	return urls
}

// Where names the servers for logs and errors. It leaves out all user information: a
// user without a password in a NATS URL is a token.
func (c *Config) Where() string {
	if c.InProcess != nil {
		return "the embedded server"
	}
	var names []string
	for _, u := range c.servers() {
		names = append(names, u.Scheme+"://"+u.Host)
	}
	return strings.Join(names, ",")
}

func (c *Config) urlHasUser() bool {
	for _, u := range c.servers() {
		if u.User != nil {
			return true
		}
	}
	return false
}
