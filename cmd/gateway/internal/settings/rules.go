package settings

import (
	"cmp"
	"net/url"
	"os"
	"slices"
	"strings"
)

// checkRules checks what depends on several settings. A rule with a setting that is
// wrong by itself is skipped.
func (c *checker) checkRules() {
	c.checkNATS()
	c.checkTimes()
	c.checkPair("GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY")
	if c.isSet("GATEWAY_TLS_CLIENT_CA") && !c.isSet("GATEWAY_TLS_CERT") && !c.isSet("GATEWAY_TLS_KEY") {
		c.report("GATEWAY_TLS_CLIENT_CA", "has no effect: expected GATEWAY_TLS_CERT and GATEWAY_TLS_KEY to be set too")
	}
	c.checkCollectorLogin()
	c.checkForwards()
}

func (c *checker) isSet(name string) bool { return c.variable(name).isSet() }

// natsLogins are the ways to log in to NATS.
var natsLogins = []string{"GATEWAY_NATS_CREDS", "GATEWAY_NATS_NKEY", "GATEWAY_NATS_USER", "GATEWAY_NATS_TOKEN"}

func (c *checker) checkNATS() {
	if len(c.NATSURL) == 0 {
		c.checkNoNATS()
		return
	}
	if c.ok("GATEWAY_NATS_URL") && slices.ContainsFunc(c.NATSURL, func(u Secret) bool { return usesWebSocket(u) != usesWebSocket(c.NATSURL[0]) }) {
		c.report("GATEWAY_NATS_URL", "has both WebSocket and plain servers: expected only one kind")
	}
	c.checkPair("GATEWAY_NATS_USER", "GATEWAY_NATS_PASSWORD")
	c.checkPair("GATEWAY_NATS_CERT", "GATEWAY_NATS_KEY")
	given := slices.DeleteFunc(slices.Clone(natsLogins), func(name string) bool { return !c.isSet(name) })
	for _, name := range given[min(1, len(given)):] { // NATS would use one and ignore the others
		c.report(name, "is a second login beside %s: expected only one of them", given[0])
	}
}

func usesWebSocket(u Secret) bool { return strings.HasPrefix(u.Reveal(), "ws") }

// checkNoNATS rejects settings that would have no effect: whoever sets them believes
// that events go to a cluster.
func (c *checker) checkNoNATS() {
	for _, v := range c.variables() {
		if v.isSet() && (strings.HasPrefix(v.name, "GATEWAY_NATS_") || v.name == "GATEWAY_RELAY") {
			c.report(v.name, "has no effect: expected GATEWAY_NATS_URL to be set too")
		}
	}
	if c.StreamReplicas > 1 && c.ok("GATEWAY_STREAM_REPLICAS") {
		c.report("GATEWAY_STREAM_REPLICAS", `"%d" needs a cluster: expected 0 or 1, or GATEWAY_NATS_URL set`, c.StreamReplicas)
	}
}

func (c *checker) checkTimes() {
	if c.StreamMaxAge > 0 && c.DuplicateWindow > c.StreamMaxAge && c.ok("GATEWAY_STREAM_MAX_AGE") && c.ok("GATEWAY_DUPLICATE_WINDOW") {
		c.report("GATEWAY_DUPLICATE_WINDOW", "%q is too long: expected at most GATEWAY_STREAM_MAX_AGE, which is %v", c.DuplicateWindow, c.StreamMaxAge)
	}
	if c.PublishTimeout >= c.ShutdownTimeout && c.ok("GATEWAY_SHUTDOWN_TIMEOUT") && c.ok("GATEWAY_PUBLISH_TIMEOUT") {
		c.report("GATEWAY_PUBLISH_TIMEOUT", "%q is too long: expected less than GATEWAY_SHUTDOWN_TIMEOUT, which is %v", c.PublishTimeout, c.ShutdownTimeout)
	}
}

// checkPair requires both of two settings or neither.
func (c *checker) checkPair(a, b string) {
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		// What was given in a file that cannot be read is a problem already.
		if c.isSet(pair[0]) && !c.isSet(pair[1]) && c.ok(pair[1]) {
			c.report(pair[1], "is not set: expected it together with %s", pair[0])
		}
	}
}

// checkForwards rejects a second bot for a webhook, and one for a webhook that does not
// exist.
func (c *checker) checkForwards() {
	if !c.ok("GATEWAY_FORWARD") || !c.ok("GATEWAY_TELEGRAM_SECRETS") {
		return
	}
	var names []string
	for i, entry := range c.Forward {
		webhook, bot, _ := CutForward(entry.Reveal())
		name := webhook + "/" + bot
		if slices.Contains(names, name) {
			c.report("GATEWAY_FORWARD", "entry %d is for the same webhook as another one: expected one URL for each", i+1)
		}
		names = append(names, name)
		known := func(s Secret) bool { return strings.HasPrefix(s.Reveal(), bot+":") }
		if bot != "" && !slices.ContainsFunc(c.TelegramSecrets, known) {
			c.report("GATEWAY_FORWARD", "entry %d is for bot %q: expected a bot of GATEWAY_TELEGRAM_SECRETS", i+1, bot)
		}
	}
}

// checkCollectorLogin rejects a login that would silently replace the headers that
// OpenTelemetry's own variables set.
func (c *checker) checkCollectorLogin() {
	const headers, tracesHeaders = "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
	u, err := url.Parse(c.OTLPEndpoint.Reveal())
	if err == nil && u.User != nil && c.ok("GATEWAY_OTLP_ENDPOINT") && cmp.Or(os.Getenv(headers), os.Getenv(tracesHeaders)) != "" {
		c.report("GATEWAY_OTLP_ENDPOINT", "%q has a login beside the headers of %s or %s: expected only one of them", c.OTLPEndpoint, headers, tracesHeaders)
	}
}
