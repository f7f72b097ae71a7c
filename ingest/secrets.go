package ingest

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/schema"
)

// Secrets are what callers have to prove that they know. They can be changed while
// the server runs, see [Server.SetSecrets].
type Secrets struct {
	// MetaAppSecrets are the live app secrets: a request signed with any of
	// them is accepted. Empty only with MetaAllowUnsigned.
	MetaAppSecrets []string
	// MetaVerifyToken is what Meta's handshake has to present.
	MetaVerifyToken string
	// TelegramSecrets are the live secret tokens of the Telegram bots, in the order
	// by which metrics number them. A bot can be listed more than once; without any
	// there is no webhook for Telegram.
	TelegramSecrets []TelegramSecret
}

func (s *Secrets) check(allowUnsigned bool) error {
	switch {
	case len(s.MetaAppSecrets) == 0 && !allowUnsigned:
		return errors.New("no app secret: every request would be refused")
	case s.MetaVerifyToken == "":
		return errors.New("no verify token: Meta's handshake could not succeed")
	case slices.Contains(s.MetaAppSecrets, ""):
		return errors.New("an app secret is empty: anybody could sign with it")
	}
	for _, secret := range s.TelegramSecrets {
		if err := secret.check(); err != nil {
			return err
		}
	}
	return nil
}

// liveSecrets are the secrets in the form that requests are checked with, with the
// counters of their use. They never change; others are put in their place.
type liveSecrets struct {
	Secrets
	verifier verifier
	telegram telegramBots

	verifiedMeta, verifiedTelegram []prometheus.Counter // by place, from 0
}

// SetSecrets replaces all secrets at once. Requests that are being checked finish
// with the old ones. With an error, which shows no secret, nothing has changed. It is
// safe for concurrent use.
//
// In metrics a secret is known by its place: one that keeps it goes on counting, a
// place that another secret has taken begins at 0 as after a start, and one that is no
// more disappears.
func (s *Server) SetSecrets(secrets Secrets) error {
	if err := secrets.check(s.cfg.MetaAllowUnsigned); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	var old Secrets
	if live := s.live.Load(); live != nil {
		old = live.Secrets
	}
	secrets.MetaAppSecrets = slices.Clone(secrets.MetaAppSecrets)
	secrets.TelegramSecrets = slices.Clone(secrets.TelegramSecrets)
	s.live.Store(&liveSecrets{
		Secrets:          secrets,
		verifier:         newVerifier(secrets.MetaAppSecrets),
		telegram:         newTelegramBots(secrets.TelegramSecrets),
		verifiedMeta:     verifiedBy(s.metrics, labelMeta, old.MetaAppSecrets, secrets.MetaAppSecrets),
		verifiedTelegram: verifiedBy(s.metrics, schema.Telegram, old.TelegramSecrets, secrets.TelegramSecrets),
	})
	return nil
}

// verifiedBy returns a counter for each place of fresh. All of them are there from
// the start: a secret that is never used has to be at 0, not missing, to tell that it
// may go. Requests under way hold the old counters, so that none of them brings back
// a series that was taken away.
func verifiedBy[T comparable](m *metrics, platform string, old, fresh []T) []prometheus.Counter {
	for i := range old {
		if i >= len(fresh) || old[i] != fresh[i] {
			m.forgetVerified(platform, i+1)
		}
	}
	counters := make([]prometheus.Counter, len(fresh))
	for i := range fresh {
		counters[i] = m.verified(platform, i+1)
	}
	return counters
}
