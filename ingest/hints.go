package ingest

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/time/rate"

	"github.com/postback-gateway/gateway/schema"
)

// hints are log lines about requests that a wrong setup causes. Nothing else would show
// them: the platform does not say why, and the gateway has nothing to store. Anybody can
// send such requests, so each hint is written at most once a second.
type hints struct {
	wrongPath, unknownBot, mediaType, mangled, tooLarge *rate.Sometimes
	// checks limits the bodies that are read only to find out whether they are signed.
	checks *rate.Limiter
}

const checksPerSecond = 4

func newHints() hints {
	line := func() *rate.Sometimes { return &rate.Sometimes{Interval: logInterval} }
	return hints{line(), line(), line(), line(), line(), rate.NewLimiter(checksPerSecond, checksPerSecond)}
}

const metaPath = "/webhooks/meta"

// hintWrongPath logs a request for a path without a webhook if it is from a platform.
func (s *Server) hintWrongPath(w http.ResponseWriter, r *request) {
	secrets := s.secrets.Load()
	switch {
	case r.Method == http.MethodGet && hasChallenge(r.URL.Query()):
		s.logWrongPath(r, "a handshake of Meta arrived at a path without a webhook", metaPath)
	case r.Method != http.MethodPost:
	case s.isTelegramPath(r.URL.Path):
		s.hints.unknownBot.Do(func() {
			s.log.Warn("an update arrived for a bot that is not configured: expected the name of a configured bot in the path",
				"path", shortPath(r), "remote", s.remote(r))
		})
	case r.Header.Get(headerTelegram) != "":
		if bot := secrets.telegram.botOf(r.Header.Get(headerTelegram)); bot != "" {
			s.logWrongPath(r, "an update of Telegram with a correct secret token arrived at a path without a webhook", telegramPath+bot)
		}
	case r.Header.Get(headerSignature) != "" && s.hints.checks.Allow() && s.isSigned(w, r, secrets):
		s.logWrongPath(r, "a correctly signed delivery of Meta arrived at a path without a webhook", metaPath)
	}
}

func (s *Server) logWrongPath(r *request, text, expected string) {
	s.hints.wrongPath.Do(func() {
		s.log.Warn(text+": correct the callback URL", "path", shortPath(r), "expected", expected, "remote", s.remote(r))
	})
}

const telegramPath = "/webhooks/telegram/"

func (s *Server) isTelegramPath(path string) bool {
	bot, found := strings.CutPrefix(path, telegramPath)
	return found && bot != "" && !strings.Contains(bot, "/")
}

// shortPath returns the path for the log. It comes from anybody.
func shortPath(r *request) string {
	if path := r.URL.Path; len(path) <= schema.MaxAccount {
		return path
	}
	return r.URL.Path[:schema.MaxAccount] + "…"
}

// isSigned reads the body and reports whether it is signed with an app secret.
func (s *Server) isSigned(w http.ResponseWriter, r *request, secrets *liveSecrets) bool {
	signature, err := parseSignature(r.Header)
	if err != nil || r.ContentLength > s.cfg.MaxBodyBytes {
		return false
	}
	body := s.newBody()
	defer body.release()
	return s.readBody(w, r, body) == nil && secrets.meta.find(signature, body.bytes) >= 0
}

// hintMediaType logs what a request that is answered 415 has sent.
func (s *Server) hintMediaType(r *request) {
	s.hints.mediaType.Do(func() {
		s.log.Warn("request answered 415: expected Content-Type application/json, as the platforms send it; something in front of the gateway may change it",
			"content_type", r.Header.Get("Content-Type"), "webhook", r.hook.name, "remote", s.remote(r))
	})
}

// hintMangled logs a handshake whose parameters were renamed on their way: PHP and some
// proxies replace the dots.
func (s *Server) hintMangled(r *request, q url.Values) {
	if !q.Has("hub_mode") && !q.Has("hub_challenge") && !q.Has("hub_verify_token") {
		return
	}
	s.hints.mangled.Do(func() {
		s.log.Warn("a handshake arrived with hub_mode instead of hub.mode: something in front of the gateway renames the parameters; let it pass the query string untouched",
			"remote", s.remote(r))
	})
}

func hasChallenge(q url.Values) bool { return q.Has("hub.challenge") || q.Has("hub_challenge") }
