package main

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/postback-gateway/gateway/ingest"
)

// The bounds of settings. Below a minimum the gateway would start, and be of no use.
const (
	maxStreamName      = 240 // NATS allows 255, and _DEADLETTER comes behind it
	maxReplicas        = 5   // NATS
	minStreamBytes     = 1 << 20
	minStreamAge       = time.Second
	minDuplicateWindow = time.Second
	minPublishTimeout  = 100 * time.Millisecond
	minShutdownTimeout = time.Second
	minBodyBytes       = 512  // a delivery of one click is about that large
	maxToken           = 1024 // the server takes 4096 for all that a client says of itself
)

// check looks for what the types of the settings cannot tell, and adds it to
// what was found wrong before.
func (s *settings) check(found problems) problems {
	c := &checker{settings: s, found: found}
	c.checkListeners()
	c.checkSecrets()
	c.checkNATS()
	c.checkStream()
	c.checkLimits()
	c.checkTLS()
	c.checkTelemetry()
	return c.found
}

// checker collects problems. The name of a variable is without envPrefix in all
// of its methods.
type checker struct {
	*settings
	found problems
}

func (c *checker) wrong(name, format string, args ...any) {
	c.found = append(c.found, problem{envPrefix + name, fmt.Sprintf(format, args...)})
}

// fine tells whether nothing is wrong with a variable so far. What depends on a
// wrong one is not judged: its value is only the default.
func (c *checker) fine(name string) bool { return len(c.found.about(name)) == 0 }

func (c *checker) checkListeners() {
	c.checkAddress("LISTEN", c.Listen, "")
	c.checkAddress("ADMIN_LISTEN", c.AdminListen, "")
	if c.EmbeddedListen != off {
		c.checkAddress("EMBEDDED_LISTEN", c.EmbeddedListen, ", or off")
	}
}

func (c *checker) checkAddress(name, given, also string) {
	host, port, err := net.SplitHostPort(given)
	_, noPort := strconv.ParseUint(port, 10, 16)
	if err != nil || noPort != nil || !visible(host) {
		c.wrong(name, "%q is no address to listen on: expected host:port, like 127.0.0.1:8081 or :8080%s", given, also)
	}
}

func (c *checker) checkSecrets() {
	for i, s := range c.MetaAppSecrets {
		switch text := s.reveal(); {
		case text == "":
			c.wrong("META_APP_SECRETS", "entry %d is empty: expected app secrets separated by single commas", i+1)
		case !visible(text):
			c.wrong("META_APP_SECRETS", "entry %d holds white space or invisible characters: expected the app secret as the App Dashboard shows it", i+1)
		}
	}
	for i, s := range c.TelegramSecrets {
		if wrong := wrongTelegram(s.reveal()); wrong != "" {
			c.wrong("TELEGRAM_SECRETS", "entry %d %s", i+1, wrong)
		}
	}
	c.checkToken("ADMIN_TOKEN", c.AdminToken)
	c.checkToken("META_VERIFY_TOKEN", c.MetaVerifyToken)
	c.checkToken("NATS_TOKEN", c.NATSToken)
	c.checkToken("EMBEDDED_TOKEN", c.EmbeddedToken)
	switch token := c.EmbeddedToken.reveal(); {
	case bcryptHash.MatchString(token):
		c.wrong("EMBEDDED_TOKEN", "looks like a bcrypt hash, which the server would compare with the hash of what it is given: expected the token itself")
	case len(token) > maxToken:
		c.wrong("EMBEDDED_TOKEN", "is too long: expected at most %d bytes", maxToken)
	}
	if strings.ContainsAny(c.NATSPassword.reveal(), "\r\n") {
		c.wrong("NATS_PASSWORD", "holds a line break: expected one line")
	}
}

// bcryptHash is what nats-server takes for a hashed token.
var bcryptHash = regexp.MustCompile(`^\$2[abxy]\$`)

func (c *checker) checkToken(name string, s secret) {
	if !visible(s.reveal()) {
		c.wrong(name, "holds white space or invisible characters: expected a token without them")
	}
}

// visible tells whether text has no white space and nothing that no one sees,
// which is a mistake of copying wherever it is asked.
func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
}

var (
	botName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	botToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`) // setWebhook, secret_token
)

// wrongTelegram says what is wrong with one bot:token.
func wrongTelegram(entry string) string {
	bot, token, pair := strings.Cut(entry, ":")
	switch {
	case entry == "":
		return "is empty: expected bot:token pairs separated by single commas"
	case !pair:
		return "is no pair: expected bot:token"
	case !botName.MatchString(bot):
		return "begins with no name of a bot: expected bot:token with 1 to 128 letters, digits, _ and - as bot"
	case !botToken.MatchString(token):
		return "ends with no secret token: expected bot:token with 1 to 256 letters, digits, _ and - as token (the secret_token given to setWebhook, not the token of the bot)"
	default:
		return ""
	}
}

var (
	subjectRoot = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	// Dead letters, other streams of the gateway and replies of NATS are there.
	takenRoots = []string{"deadletter", "unclaimed", "_INBOX"}
)

func (c *checker) checkStream() {
	first, _, _ := strings.Cut(c.SubjectRoot, ".")
	switch {
	case !subjectRoot.MatchString(c.SubjectRoot):
		c.wrong("SUBJECT_ROOT", "%q is no subject: expected tokens of letters, digits, _ and - joined by dots", c.SubjectRoot)
	case slices.Contains(takenRoots, first):
		c.wrong("SUBJECT_ROOT", "%q is taken: expected the first token not to be %s", c.SubjectRoot, first)
	}
	if !visible(c.Stream) || strings.ContainsAny(c.Stream, `.*>/\`) || len(c.Stream) > maxStreamName {
		c.wrong("STREAM", `%.300q is no name of a stream: expected at most %d bytes without white space and . * > / \`, c.Stream, maxStreamName)
	}
	switch {
	case c.StreamReplicas < 0 || c.StreamReplicas > maxReplicas:
		c.wrong("STREAM_REPLICAS", `"%d" is out of range: expected 0 to %d`, c.StreamReplicas, maxReplicas)
	case c.StreamReplicas > 1 && len(c.NATSURL) == 0:
		c.wrong("STREAM_REPLICAS", `"%d" needs a cluster: expected 0 or 1, or GATEWAY_NATS_URL set`, c.StreamReplicas)
	}
	c.checkOneOf("SYNC", c.Sync, syncGroup, syncAlways, syncInterval)
	c.checkOneOf("FALLBACK", c.Fallback, "true", "false", off)
	c.checkRetention()
}

func (c *checker) checkRetention() {
	if c.StreamMaxAge != 0 {
		c.checkNotShorter("STREAM_MAX_AGE", c.StreamMaxAge, minStreamAge, ", or 0 to keep events for ever")
	}
	if c.StreamMaxBytes != 0 {
		c.checkNotLess("STREAM_MAX_BYTES", c.StreamMaxBytes, minStreamBytes, " bytes (1 MiB), or 0 for the default")
	}
	c.checkNotShorter("DUPLICATE_WINDOW", c.DuplicateWindow, minDuplicateWindow, "")
	switch {
	case !c.fine("DUPLICATE_WINDOW"):
	case c.StreamMaxAge > 0 && c.DuplicateWindow > c.StreamMaxAge && c.fine("STREAM_MAX_AGE"):
		c.wrong("DUPLICATE_WINDOW", "%q is too long: expected at most GATEWAY_STREAM_MAX_AGE, which is %v", c.DuplicateWindow, c.StreamMaxAge)
	}
}

func (c *checker) checkLimits() {
	c.checkNotShorter("SHUTDOWN_TIMEOUT", c.ShutdownTimeout, minShutdownTimeout, "")
	c.checkNotShorter("PUBLISH_TIMEOUT", c.PublishTimeout, minPublishTimeout, "")
	if c.PublishTimeout >= c.ShutdownTimeout && c.fine("SHUTDOWN_TIMEOUT") && c.fine("PUBLISH_TIMEOUT") {
		c.wrong("PUBLISH_TIMEOUT", "%q is too long: expected less than GATEWAY_SHUTDOWN_TIMEOUT, which is %v", c.PublishTimeout, c.ShutdownTimeout)
	}
	c.checkNotLess("MAX_BODY_BYTES", c.MaxBodyBytes, minBodyBytes, " bytes, which one click needs")
	if c.MaxBodyBytes > ingest.LargestBody {
		c.wrong("MAX_BODY_BYTES", `"%d" is too large: expected at most %d`, c.MaxBodyBytes, ingest.LargestBody)
	}
	c.checkNotLess("MAX_IN_FLIGHT", int64(c.MaxInFlight), 1, "")
	c.checkNotLess("METRICS_PREFIX_LIMIT", int64(c.MetricsPrefixLimit), 0, "")
}

// checkNotLess and checkNotShorter want a number or a duration of at least least. also
// ends the sentence about what is expected.
func (c *checker) checkNotLess(name string, given, least int64, also string) {
	if given < least {
		c.wrong(name, `"%d" is too small: expected at least %d%s`, given, least, also)
	}
}

func (c *checker) checkNotShorter(name string, given, least time.Duration, also string) {
	if given < least {
		c.wrong(name, "%q is too short: expected at least %v%s", given, least, also)
	}
}

func (c *checker) checkTLS() {
	c.checkPair("TLS_CERT", c.TLSCert, "TLS_KEY", c.TLSKey)
	if c.TLSClientCA != "" && c.TLSCert == "" && c.TLSKey == "" {
		c.wrong("TLS_CLIENT_CA", "has no effect: expected GATEWAY_TLS_CERT and GATEWAY_TLS_KEY to be set too")
	}
	c.checkFile("TLS_CERT", c.TLSCert)
	c.checkFile("TLS_KEY", c.TLSKey)
	c.checkFile("TLS_CLIENT_CA", c.TLSClientCA)
}

// checkPair wants both of two settings or neither. One of them may have been
// given in a file that could not be read.
func (c *checker) checkPair(name, given, otherName, otherGiven string) {
	switch {
	case given != "" && otherGiven == "" && c.fine(otherName):
		c.wrong(otherName, "not set: expected it together with %s", envPrefix+name)
	case given == "" && otherGiven != "" && c.fine(name):
		c.wrong(name, "not set: expected it together with %s", envPrefix+otherName)
	}
}

func (c *checker) checkFile(name, path string) {
	if path == "" {
		return
	}
	file, err := os.Open(path)
	if err != nil {
		c.wrong(name, "%q cannot be read: %s", path, cause(err))
		return
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		c.wrong(name, "%q is a directory: expected a file", path)
	}
}

func (c *checker) checkTelemetry() {
	c.checkOneOf("LOG_LEVEL", c.LogLevel, "debug", "info", "warn", "error")
	if c.LogFormat != "" {
		c.checkOneOf("LOG_FORMAT", c.LogFormat, "text", "json")
	}
	if !c.OTLPEndpoint.set() {
		return
	}
	u, err := url.Parse(c.OTLPEndpoint.reveal())
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		c.wrong("OTLP_ENDPOINT", "%q is no web address: expected a URL like http://localhost:4318", c.OTLPEndpoint)
	case u.RawQuery != "" || u.Fragment != "":
		c.wrong("OTLP_ENDPOINT", "%q has more than an address: expected a URL like http://localhost:4318, and a key in "+otlpHeaders, c.OTLPEndpoint)
	case u.User != nil && cmp.Or(os.Getenv(otlpHeaders), os.Getenv(otlpTracesHeaders)) != "":
		c.wrong("OTLP_ENDPOINT", "%q holds a login beside the headers of "+otlpHeaders+" or "+otlpTracesHeaders+": expected one of them", c.OTLPEndpoint)
	}
}

func (c *checker) checkOneOf(name, given string, known ...string) {
	if !slices.Contains(known, given) {
		last := len(known) - 1
		c.wrong(name, "%q is unknown: expected %s or %s", given, strings.Join(known[:last], ", "), known[last])
	}
}
