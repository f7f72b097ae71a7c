package server

import (
	"net/netip"
	"strings"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish"
)

// ingest and publish do not import each other; they are connected here.
var _ ingest.Publisher = (*publish.Publisher)(nil)

func (g *gateway) newIngest() (*ingest.Server, error) {
	s := g.settings
	in, err := ingest.New(ingest.Config{
		Secrets:           ingestSecrets(s),
		MetaAllowUnsigned: s.MetaAllowUnsigned,
		MaxBodyBytes:      s.MaxBodyBytes,
		MaxInFlight:       s.MaxInFlight,
		PublishTimeout:    s.PublishTimeout,
		IncludeRaw:        s.IncludeRaw,
		StoreOther:        s.StoreOther,
		TelegramAnswer:    s.TelegramAnswer,
		Forward:           forwardedWebhooks(s),
		TrustedProxies:    networks(s.TrustedProxies),
		LabelLimit:        s.MetricsPrefixLimit,
		Tracer:            g.tracer,
		Observer:          g.ring,
	}, g.publisher, g.log, g.registry)
	if err != nil {
		return nil, err
	}
	g.secrets.OnChange(func(s *settings.Settings) error { return in.SetSecrets(ingestSecrets(s)) },
		"GATEWAY_META_APP_SECRETS", "GATEWAY_META_VERIFY_TOKEN", "GATEWAY_TELEGRAM_SECRETS")
	return in, nil
}

// networks returns networks that the settings have checked.
func networks(all []string) (prefixes []netip.Prefix) {
	for _, text := range all {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			prefixes = append(prefixes, prefix.Masked())
		}
	}
	return prefixes
}

func ingestSecrets(s *settings.Settings) ingest.Secrets {
	return ingest.Secrets{
		MetaAppSecrets:  settings.RevealAll(s.MetaAppSecrets),
		MetaVerifyToken: s.MetaVerifyToken.Reveal(),
		TelegramSecrets: TelegramSecrets(s),
	}
}

// TelegramSecrets returns the bots and their tokens in the order of the setting.
func TelegramSecrets(s *settings.Settings) []ingest.TelegramSecret {
	var secrets []ingest.TelegramSecret
	for _, entry := range s.TelegramSecrets {
		bot, token, _ := strings.Cut(entry.Reveal(), ":")
		secrets = append(secrets, ingest.TelegramSecret{Bot: bot, Token: token})
	}
	return secrets
}
