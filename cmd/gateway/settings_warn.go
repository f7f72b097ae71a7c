package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// warnings lists what is allowed but should not go unnoticed, for every start.
func (s *settings) warnings() []string {
	var all []string
	if s.MetaAllowUnsigned {
		all = append(all, "GATEWAY_META_ALLOW_UNSIGNED is true: whoever reaches the webhook can post events, so use it for tests only")
	}
	if s.TLSClientCA != "" && len(s.TelegramSecrets) > 0 {
		all = append(all, "GATEWAY_TLS_CLIENT_CA refuses what GATEWAY_TELEGRAM_SECRETS is for: Telegram has no client certificate, so its bots need a gateway without the former")
	}
	if s.embedded() && s.Sync == syncInterval {
		all = append(all, "GATEWAY_SYNC is interval: a power cut can lose events that were answered 200")
	}
	switch listens := s.embedded() && s.EmbeddedListen != off; {
	case listens && !s.EmbeddedToken.set() && !loopback(s.EmbeddedListen):
		all = append(all, fmt.Sprintf("GATEWAY_EMBEDDED_LISTEN is %s without GATEWAY_EMBEDDED_TOKEN: whoever reaches it can read and write all events", s.EmbeddedListen))
	case !listens && s.EmbeddedToken.set():
		all = append(all, "GATEWAY_EMBEDDED_TOKEN has no effect: there is no embedded server that listens")
	}
	return append(all, s.unknown...)
}

// loopback tells whether only this machine reaches an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "localhost" {
		return err == nil
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// unknownVariables warns about variables that look like settings and are none.
// It shows no values: a misspelt name may hold a secret.
func unknownVariables(all []variable, environment []string) []string {
	known := knownNames(all)
	var found []string
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" || !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name) || injected(name, value) {
			continue
		}
		hint := ""
		if near := nearest(name, known); near != "" {
			hint = ", did you mean " + near + "?"
		}
		found = append(found, name+" is no setting"+hint)
	}
	slices.Sort(found)
	return found
}

func knownNames(all []variable) []string {
	var names []string
	for _, v := range all {
		names = append(names, v.name)
		if v.fileToo() {
			names = append(names, v.name+fileSuffix)
		}
	}
	return names
}

// serviceVariable matches what Kubernetes puts into every container for a
// Service that is named gateway, or gateway-something.
var serviceVariable = regexp.MustCompile(`^GATEWAY_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// injected leaves GATEWAY_PORT to the warnings where it holds a mere number:
// that is no Service but someone's guess.
func injected(name, value string) bool {
	if name == envPrefix+"PORT" {
		return strings.Contains(value, "://")
	}
	return serviceVariable.MatchString(name)
}

// nearest returns the known name that is most like an unknown one, or nothing
// where none is alike: at most two fifths of it may be different.
func nearest(name string, known []string) string {
	best, least := "", len(name)
	for _, k := range known {
		alike := (max(len(name), len(k)) - len(envPrefix)) * 2 / 5
		if d := distance(name, k); d <= alike && d < least {
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
