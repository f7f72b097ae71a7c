package ingest

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Secrets are what senders prove that they know. They can be changed while the server
// runs, see [Server.SetSecrets].
type Secrets struct {
	// MetaAppSecrets are the active app secrets: a request signed with any of them
	// is accepted. Empty only with MetaAllowUnsigned.
	MetaAppSecrets []string
	// MetaVerifyToken is the token that Meta's handshake has to present.
	MetaVerifyToken string
	// TelegramSecrets are the active secret tokens of the Telegram bots, in the order
	// in which metrics number them. A bot can be listed more than once. Without any,
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

// liveSecrets are the secrets in the form that authenticators use. A value never
// changes: SetSecrets replaces it.
type liveSecrets struct {
	Secrets
	meta     appSecrets
	telegram telegramBots
}

// SetSecrets replaces all secrets at once. Requests that are being authenticated
// finish with the old ones. If it returns an error, which shows no secret, nothing has
// changed. It is safe for concurrent use.
//
// Metrics know a secret by its place in the list. A secret that keeps its place keeps
// its count, a new one starts at 0, and the series of a removed place disappears.
func (s *Server) SetSecrets(secrets Secrets) error {
	if err := secrets.check(s.cfg.MetaAllowUnsigned); err != nil {
		return err
	}
	s.secretsMutex.Lock()
	defer s.secretsMutex.Unlock()
	var old Secrets
	if live := s.secrets.Load(); live != nil {
		old = live.Secrets
	}
	secrets.MetaAppSecrets = slices.Clone(secrets.MetaAppSecrets)
	secrets.TelegramSecrets = slices.Clone(secrets.TelegramSecrets)
	live := &liveSecrets{
		Secrets: secrets,
		meta: appSecrets{
			keys:          keysOf(secrets.MetaAppSecrets),
			uses:          countersOfUse(s.metrics, labelMeta, old.MetaAppSecrets, secrets.MetaAppSecrets),
			allowUnsigned: s.cfg.MetaAllowUnsigned,
			diagnoses:     s.diagnoses,
		},
	}
	live.telegram = newTelegramBots(secrets.TelegramSecrets,
		countersOfUse(s.metrics, labelTelegram, old.TelegramSecrets, secrets.TelegramSecrets))
	s.secrets.Store(live)
	return nil
}

// countersOfUse returns a counter for each secret. All series exist from the start,
// because a secret that is never used has to be 0 and not missing: it can be removed.
// Requests in progress hold the old counters, so they do not bring back a deleted series.
func countersOfUse[T comparable](m *metrics, webhook string, old, secrets []T) []prometheus.Counter {
	for i := range old {
		if i >= len(secrets) || old[i] != secrets[i] {
			m.deleteSecret(webhook, i+1)
		}
	}
	counters := make([]prometheus.Counter, len(secrets))
	for i := range secrets {
		counters[i] = m.secretUses(webhook, i+1)
	}
	return counters
}
