package server

import (
	"context"
	"errors"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/forward"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/schema"
)

// forwardTargets returns the existing bots of the settings.
func forwardTargets(s *settings.Settings) (targets []forward.Target) {
	for _, entry := range s.Forward {
		webhook, bot, address := settings.CutForward(entry.Reveal())
		targets = append(targets, forward.Target{Webhook: webhook, Account: bot, URL: address})
	}
	return targets
}

// forwardedWebhooks returns the names of the webhooks that have an existing bot.
func forwardedWebhooks(s *settings.Settings) (names []string) {
	for _, t := range forwardTargets(s) {
		names = append(names, t.Name())
	}
	return names
}

// telegramToken returns the first token of a bot, which is the newest.
func (g *gateway) telegramToken(bot string) string {
	token, _ := signWith(g.secrets.Settings(), schema.Telegram, bot) // a target is a configured bot
	return token
}

// startForwarder forwards from the store in which deliveries are stored: with a relay that
// is the one on this machine.
func (g *gateway) startForwarder() error {
	targets := forwardTargets(g.settings)
	metrics, err := forward.NewMetrics(g.registry, targets)
	if err != nil || len(targets) == 0 {
		return err
	}
	g.log.Info("forwarding deliveries to existing bots", "webhooks", forwardedWebhooks(g.settings))
	f := forward.Start(forward.Config{
		Targets: targets, Token: g.telegramToken, MaxAge: g.settings.ForwardMaxAge,
		Streams: g.publisher.Monitor(), Store: g.publisher, Metrics: metrics, Log: g.log,
	})
	g.onStop("forwarder", func(ctx context.Context) error {
		// The rest of the time is for the store, which is stopped after it.
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
			defer cancel()
		}
		return f.Close(ctx)
	})
	g.secrets.OnChange(func(*settings.Settings) error {
		return errors.New("it is read only at the start: restart the gateway")
	}, "GATEWAY_FORWARD")
	return nil
}
