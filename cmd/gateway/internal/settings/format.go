package settings

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// format is a kind of text.
type format struct {
	kind string // for the manual; empty: that of the field's type
	// isURL is for a secret that is shown as a URL, without its password.
	isURL bool
	// check says what is wrong with a text, so that "GATEWAY_X: <text>" or "entry 2" can
	// stand before it. It is empty for a good text, and does not show the text.
	check    func(text string) string
	expected string
}

// formats has the values of the tag format.
var formats = map[string]format{
	"address":        {kind: "host:port", check: checkAddress, expected: "host:port, like 127.0.0.1:8081 or :8080"},
	"address or off": {kind: "host:port or off", check: offOr(checkAddress), expected: "host:port, like 127.0.0.1:8081 or :8080, or off"},
	"bytes":          {kind: "bytes"},
	"directory":      {kind: "path"},
	"file":           {kind: "path", check: checkFile, expected: "a file that the gateway can read"},
	"line":           {check: checkLine, expected: "one line"},
	"token":          {check: checkToken, expected: "a value without them"},
	"plain token":    {check: checkPlainToken, expected: "the token itself, without white space and invisible characters"},
	"bot:token": {kind: "list of secret bot:token", check: checkBotToken, expected: "bot:token, with 1 to 128 letters, digits, _ and - as the bot and 1 to 256 as the token " +
		"(the secret_token given to setWebhook, not the token of the bot)"},
	"forward": {kind: "list of webhook=URL", check: checkForward, expected: "meta=URL, or telegram/ and the name of a bot and =URL, with an http or https URL"},
	"path":    {kind: "path", check: checkPath, expected: "a path like /health that is not below /webhooks/"},
	"network": {kind: "list of networks", check: checkNetwork, expected: "a network like 10.0.0.0/8 or fd00::/8"},
	"nats":    {kind: "list of URLs", isURL: true, check: checkNATSURL, expected: "a URL like nats://host:4222 (or tls, ws, wss)"},
	"otlp":    {kind: "URL", isURL: true, check: checkOTLP, expected: "a URL like http://localhost:4318; put a key in OTEL_EXPORTER_OTLP_HEADERS"},
	"subject": {check: checkSubject, expected: "tokens of letters, digits, _ and - joined by dots, the first one not " + joinWords(reservedRoots)},
	"stream":  {check: checkStreamName, expected: `a name without white space and . * > / \`},
}

func checkAddress(text string) string {
	host, port, err := net.SplitHostPort(text)
	_, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || !visible(host) {
		return "is not an address to listen on"
	}
	return ""
}

func offOr(check func(string) string) func(string) string {
	return func(text string) string {
		if text == Off {
			return ""
		}
		return check(text)
	}
}

func checkFile(name string) string {
	file, err := os.Open(name)
	if err != nil {
		return "cannot be read (" + reason(err) + ")"
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return "is a directory"
	}
	return ""
}

func checkLine(text string) string {
	if strings.ContainsAny(text, "\r\n") {
		return "contains a line break"
	}
	return ""
}

func checkToken(text string) string {
	if !visible(text) {
		return "contains white space or invisible characters"
	}
	return ""
}

// visible reports whether text has no white space and no invisible characters, which
// get into a value when it is copied.
func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
}

// bcryptHash matches what nats-server takes for a hashed token.
var bcryptHash = regexp.MustCompile(`^\$2[abxy]\$`)

func checkPlainToken(text string) string {
	if bcryptHash.MatchString(text) {
		return "looks like a bcrypt hash, which the server would compare with the hash of what consumers send"
	}
	return checkToken(text)
}

var (
	botName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	botToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`) // setWebhook, secret_token
)

func checkBotToken(text string) string {
	bot, token, isPair := strings.Cut(text, ":")
	switch {
	case !isPair:
		return "has no colon"
	case !botName.MatchString(bot):
		return "does not begin with the name of a bot"
	case !botToken.MatchString(token):
		return "does not end with a secret token"
	default:
		return ""
	}
}

// CutForward splits an entry of GATEWAY_FORWARD. bot is empty for meta.
func CutForward(text string) (webhook, bot, address string) {
	name, address, _ := strings.Cut(text, "=")
	webhook, bot, _ = strings.Cut(name, "/")
	return webhook, bot, address
}

func checkForward(text string) string {
	name, _, isPair := strings.Cut(text, "=")
	webhook, bot, address := CutForward(text)
	u, err := url.Parse(address)
	switch {
	case !isPair:
		return "has no ="
	case name != "meta" && (webhook != "telegram" || !botName.MatchString(bot)):
		return "does not begin with a webhook"
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" || !visible(address):
		return "does not end with a web address"
	default:
		return ""
	}
}

func checkPath(text string) string {
	clean := path.Clean(text)
	if clean != text || !strings.HasPrefix(text, "/") || strings.HasPrefix(text+"/", "/webhooks/") || strings.ContainsAny(text, "?#") || !visible(text) {
		return "is not a path for health checks"
	}
	return ""
}

func checkNetwork(text string) string {
	if _, err := netip.ParsePrefix(text); err != nil {
		return "is not a network"
	}
	return ""
}

var natsSchemes = []string{"nats", "tls", "ws", "wss"}

func checkNATSURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || !visible(text):
		return "is not a URL"
	case !slices.Contains(natsSchemes, u.Scheme):
		return "has an unknown scheme"
	case u.Hostname() == "":
		return "has no host"
	case u.RawQuery != "" || u.Fragment != "":
		return "has more than an address"
	default:
		return ""
	}
}

func checkOTLP(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "is not a web address"
	case u.RawQuery != "" || u.Fragment != "":
		return "has more than an address"
	default:
		return ""
	}
}

var (
	subjectRoot = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	// reservedRoots begin the subjects of the gateway's other streams and of replies of NATS.
	reservedRoots = []string{"deadletter", "delivery", "other", "unclaimed", "_INBOX"}
)

func checkSubject(text string) string {
	first, _, _ := strings.Cut(text, ".")
	switch {
	case !subjectRoot.MatchString(text):
		return "is not a subject"
	case slices.Contains(reservedRoots, first):
		return fmt.Sprintf("begins with %s, which is reserved", first)
	default:
		return ""
	}
}

func checkStreamName(text string) string {
	if !visible(text) || strings.ContainsAny(text, `.*>/\`) {
		return "is not the name of a stream"
	}
	return ""
}
