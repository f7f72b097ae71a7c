package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Warnings lists what is allowed but risky or without effect.
func (s *Settings) Warnings() []string {
	var all []string
	if s.MetaAllowUnsigned {
		all = append(all, "GATEWAY_META_ALLOW_UNSIGNED is true: everyone who reaches the webhook can post events, so use it only for tests")
	}
	for i, entry := range s.TelegramSecrets {
		if botFatherToken.MatchString(entry.Reveal()) {
			all = append(all, fmt.Sprintf("GATEWAY_TELEGRAM_SECRETS, entry %d has the form of a token from BotFather: expected the name of the bot, a colon and the secret_token that you give to setWebhook", i+1))
		}
	}
	if s.TLSClientCA != "" && len(s.TelegramSecrets) > 0 {
		all = append(all, "GATEWAY_TLS_CLIENT_CA rejects Telegram, which has no client certificate: run another gateway for the bots of GATEWAY_TELEGRAM_SECRETS")
	}
	if s.RunsNATS() && s.Sync == SyncInterval {
		all = append(all, "GATEWAY_SYNC is interval: a power cut can lose events that were answered 200")
	}
	switch listens := s.RunsNATS() && s.EmbeddedListen != Off; {
	case listens && !s.EmbeddedToken.IsSet() && !isLoopback(s.EmbeddedListen):
		all = append(all, fmt.Sprintf("GATEWAY_EMBEDDED_LISTEN is %s without GATEWAY_EMBEDDED_TOKEN: everyone who reaches it can read and write all events", s.EmbeddedListen))
	case !listens && s.EmbeddedToken.IsSet():
		all = append(all, "GATEWAY_EMBEDDED_TOKEN has no effect: there is no embedded server that listens")
	}
	return append(all, s.unknown...)
}

// botFatherToken matches the token with which a bot calls the Bot API. It has the form of
// an entry, so a gateway would start with it and reject every update.
var botFatherToken = regexp.MustCompile(`^[0-9]{5,}:[A-Za-z0-9_-]{30,}$`)

// unknownVariables warns about variables that look like settings but are not. It shows
// no values: a misspelt name may hold a secret.
func unknownVariables(all []variable, environment []string) []string {
	known := knownNames(all)
	var found []string
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" || !strings.HasPrefix(name, Prefix) || slices.Contains(known, name) || isFromKubernetes(name, value) {
			continue
		}
		hint := ""
		if near := nearest(name, known); near != "" {
			hint = ", did you mean " + near + "?"
		}
		found = append(found, name+" is not a setting"+hint)
	}
	slices.Sort(found)
	return found
}

func knownNames(all []variable) []string {
	var names []string
	for _, v := range all {
		names = append(names, v.name)
		if v.takesFile() {
			names = append(names, v.name+fileSuffix)
		}
	}
	return names
}

// serviceVariable matches what Kubernetes sets in every container for a Service that is
// named gateway, or gateway-something.
var serviceVariable = regexp.MustCompile(`^GATEWAY_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// isFromKubernetes reports whether Kubernetes has set a variable. A GATEWAY_PORT that is
// only a number is somebody's guess, and gets a warning.
func isFromKubernetes(name, value string) bool {
	if name == Prefix+"PORT" {
		return strings.Contains(value, "://")
	}
	return serviceVariable.MatchString(name)
}

// nearest returns the known name that is most similar to an unknown one. It is empty if
// more than two fifths of every name are different.
func nearest(name string, known []string) string {
	best, least := "", len(name)
	for _, k := range known {
		similar := (max(len(name), len(k)) - len(Prefix)) * 2 / 5
		if d := distance(name, k); d <= similar && d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to add, drop or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
