package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/console"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/schema"
)

// newConsole connects the console with the parts that it shows. webhooks is the handler of
// the public listener.
func (g *gateway) newConsole(webhooks http.Handler) http.Handler {
	s := g.settings
	c := console.New(g.ring, console.Config{
		Version: g.options.Version, Log: g.log, Metrics: g.registry, Ready: g.ready.Check,
		Activity: g.ingest.Activity, Consumers: g.consumers,
		Report:   func(ctx context.Context) doctor.Report { return doctor.Diagnose(g.status(ctx)) },
		Subjects: eventSubjects(s), Stream: s.Stream, Webhook: g.at.Webhook, NATS: g.at.NATS,
		VerifyToken: g.verifyTokenPlace(),
		Bots: func() (bots []string) {
			for _, secret := range TelegramSecrets(g.secrets.Settings()) {
				bots = append(bots, secret.Bot)
			}
			return bots
		},
		Post:   webhooks,
		Replay: g.newReplays(),
		Secret: func(platform, account string) (string, error) {
			return signWith(g.secrets.Settings(), platform, account)
		},
	})
	g.onStop("console", c.Close)
	return c
}

// newReplays connects replays with the streams that consumers read, and with the store of
// deliveries: with a relay what is parsed again is relayed, and forwarded from this machine.
func (g *gateway) newReplays() *replay.Gateway {
	store := g.publisher.Monitor()
	return &replay.Gateway{
		Link: g.consumers.Conn.Link, Streams: g.consumers.Streams.Settings, GivenUp: g.consumers.GivenUpCounts,
		Parse: g.ingest.ParseAgain, Publish: g.publisher.Publish,
		Limit: func() (int, error) { return store.Streams.Limit(), store.Check() },
		Forwards: func(webhook, account string) bool {
			names := forwardedWebhooks(g.settings)
			return slices.Contains(names, webhook) || slices.Contains(names, webhook+"/"+account)
		},
	}
}

// verifyTokenPlace says where somebody finds the verify token. The console does not show
// it.
func (g *gateway) verifyTokenPlace() string {
	path := filepath.Join(g.settings.DataDir, settings.VerifyTokenFile)
	if found, err := settings.ReadLocalSecret(path); err == nil && found.IsSet() && found.Reveal() == g.settings.MetaVerifyToken.Reveal() {
		return path
	}
	return "GATEWAY_META_VERIFY_TOKEN"
}

// signWith returns the secret that a delivery of a platform is signed with; account is the
// Telegram bot.
func signWith(s *settings.Settings, platform, account string) (string, error) {
	if schema.WebhookOf(platform) != schema.Telegram {
		if len(s.MetaAppSecrets) == 0 {
			return "", errors.New("there is no app secret to sign with: set GATEWAY_META_APP_SECRETS")
		}
		return s.MetaAppSecrets[0].Reveal(), nil
	}
	for _, bot := range TelegramSecrets(s) {
		if bot.Bot == account {
			return bot.Token, nil
		}
	}
	return "", fmt.Errorf("no bot %.40s is configured: set GATEWAY_TELEGRAM_SECRETS=bot:token", account)
}
