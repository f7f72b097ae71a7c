package main

import (
	"net/url"
	"slices"
	"strings"
)

func (c *checker) checkNATS() {
	for i, u := range c.NATSURL {
		if wrong := wrongNATSURL(u); wrong != "" {
			c.wrong("NATS_URL", "entry %d %s", i+1, wrong)
		}
	}
	if c.fine("NATS_URL") && mixed(c.NATSURL) {
		c.wrong("NATS_URL", "has both WebSocket and plain servers: expected one sort")
	}
	if len(c.NATSURL) == 0 {
		c.checkNoNATS()
		return
	}
	c.checkOneLogin()
	c.checkPair("NATS_USER", c.NATSUser, "NATS_PASSWORD", c.NATSPassword.reveal())
	c.checkPair("NATS_CERT", c.NATSCert, "NATS_KEY", c.NATSKey)
	for _, file := range c.natsFiles() {
		c.checkFile(file.name, file.given)
	}
}

var natsSchemes = []string{"nats", "tls", "ws", "wss"}

// wrongNATSURL says what is wrong with the address of one server. It shows the
// address only where it was understood, so that the password in it is masked.
func wrongNATSURL(given secretURL) string {
	const expected = ": expected a URL like nats://host:4222 (or tls, ws, wss)"
	text := given.reveal()
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "is empty" + expected
	case err != nil || u.Host == "" || !visible(text):
		return "is no URL" + expected
	case !slices.Contains(natsSchemes, u.Scheme):
		return `"` + given.String() + `" has an unknown scheme` + expected
	case u.Hostname() == "":
		return `"` + given.String() + `" has no host` + expected
	case u.RawQuery != "" || u.Fragment != "":
		return `"` + given.String() + `" has more than an address` + expected
	default:
		return ""
	}
}

// mixed tells whether the servers are of two sorts, which the client refuses.
func mixed(servers []secretURL) bool {
	webSocket := func(u secretURL) bool { return strings.HasPrefix(u.reveal(), "ws") }
	return slices.ContainsFunc(servers, func(u secretURL) bool { return webSocket(u) != webSocket(servers[0]) })
}

// option is a setting, without envPrefix, and what was given for it.
type option struct{ name, given string }

// natsFiles lists the settings that are files for the connection to NATS.
func (c *checker) natsFiles() []option {
	return []option{
		{"NATS_CREDS", c.NATSCreds},
		{"NATS_NKEY", c.NATSNkey},
		{"NATS_CA", c.NATSCA},
		{"NATS_CERT", c.NATSCert},
		{"NATS_KEY", c.NATSKey},
	}
}

// checkNoNATS refuses what would be passed over in silence: whoever sets it
// believes that events go to a cluster.
func (c *checker) checkNoNATS() {
	given := append(c.natsFiles(),
		option{"NATS_USER", c.NATSUser},
		option{"NATS_PASSWORD", c.NATSPassword.reveal()},
		option{"NATS_TOKEN", c.NATSToken.reveal()},
	)
	if c.Relay {
		given = append(given, option{"RELAY", "true"})
	}
	for _, setting := range given {
		if setting.given != "" {
			c.wrong(setting.name, "has no effect: expected GATEWAY_NATS_URL to be set too")
		}
	}
}

// checkOneLogin refuses a second way to say who the gateway is: NATS would take
// one of them and keep quiet about the other.
func (c *checker) checkOneLogin() {
	first := ""
	for _, login := range []option{
		{"NATS_CREDS", c.NATSCreds},
		{"NATS_NKEY", c.NATSNkey},
		{"NATS_USER", c.NATSUser},
		{"NATS_TOKEN", c.NATSToken.reveal()},
	} {
		switch {
		case login.given == "":
		case first == "":
			first = login.name
		default:
			c.wrong(login.name, "is a second way to log in, beside %s: expected one of them", envPrefix+first)
		}
	}
}
