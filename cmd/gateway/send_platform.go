package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// simulation is a platform that gateway send can be.
type simulation struct {
	platform      string
	kinds         []schema.Kind // of the clicks that it has; the first is the usual one
	account, user string        // ids as the platform has them
	login         func(*settings, *simulate.Click) (secret string, err error)
	request       func(base, secret string, click simulate.Click) (*http.Request, error)
}

// simulations are the platforms that gateway send can be. One row each.
var simulations = []simulation{
	{schema.Messenger, simulate.MessagingKinds(), "682498171943165", "1254459154682919", appSecret, metaRequest(simulate.Messenger)},
	{schema.Instagram, simulate.MessagingKinds(), "17841405309211844", "7461234567890", appSecret, metaRequest(simulate.Instagram)},
	{schema.WhatsApp, simulate.WhatsAppKinds(), "106540352242922", "16505551234", appSecret, metaRequest(simulate.WhatsApp)},
	{schema.Telegram, simulate.TelegramKinds(), "shop_bot", "9007199254740993", botSecret, telegramRequest},
}

// appSecret is what the platforms behind Meta's webhook sign with.
func appSecret(s *settings, _ *simulate.Click) (string, error) {
	if err := s.findLocalSecrets(); err != nil {
		return "", err
	}
	if len(s.MetaAppSecrets) == 0 {
		return "", fmt.Errorf("no app secret to sign with: expected GATEWAY_META_APP_SECRETS, --secret, or a gateway that keeps its own in %s (GATEWAY_DATA_DIR)", s.DataDir)
	}
	return s.MetaAppSecrets[0].reveal(), nil
}

// botSecret is that of the bot that is spoken to: the first configured, unless
// the click says which.
func botSecret(s *settings, click *simulate.Click) (string, error) {
	for _, bot := range s.telegramSecrets() {
		if click.Account == "" || click.Account == bot.Bot {
			click.Account = bot.Bot
			return bot.Token, nil
		}
	}
	const expected = "expected GATEWAY_TELEGRAM_SECRETS=bot:token as the gateway has it, or --account and --secret"
	if click.Account == "" {
		return "", errors.New("no bot is configured: " + expected)
	}
	return "", fmt.Errorf("no secret of a bot %s is configured: %s", click.Account, expected)
}

func telegramRequest(base, secret string, click simulate.Click) (*http.Request, error) {
	return simulate.TelegramRequest(base, click.Account, secret, simulate.Telegram(click))
}

// metaRequest is how the platforms behind Meta's webhook deliver.
func metaRequest(body func(...simulate.Click) []byte) func(string, string, simulate.Click) (*http.Request, error) {
	return func(base, secret string, click simulate.Click) (*http.Request, error) {
		return simulate.Request(base, secret, body(click))
	}
}

func platformsHelp() string {
	names := make([]string, len(simulations))
	for i := range simulations {
		names[i] = simulations[i].platform
	}
	return strings.Join(names, ", ")
}

func kindsHelp() string {
	var text strings.Builder
	for i := range simulations {
		fmt.Fprintf(&text, "  %-10s %s\n", simulations[i].platform, simulations[i].kindNames())
	}
	return strings.TrimSuffix(text.String(), "\n")
}

func (p *simulation) kindNames() string {
	names := make([]string, len(p.kinds))
	for i, kind := range p.kinds {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

// choose finds the platform, and fills in what a click of the kind has on it.
func (s *sender) choose(cmd *cobra.Command) (*simulation, error) {
	at := slices.IndexFunc(simulations, func(p simulation) bool { return p.platform == s.platform })
	if at < 0 {
		return nil, badUsage(cmd, "--platform %q is not supported: expected one of %s", s.platform, platformsHelp())
	}
	platform := &simulations[at]
	s.click.Kind = schema.Kind(cmp.Or(s.kind, string(platform.kinds[0])))
	if !slices.Contains(platform.kinds, s.click.Kind) {
		return nil, badUsage(cmd, "--kind %q: %s has no such clicks, expected one of %s", s.kind, s.platform, platform.kindNames())
	}
	s.request = platform.request
	if s.click.UserRef == "" && !cmd.Flags().Changed("user") {
		s.click.User = platform.user
	}
	return platform, s.fill(cmd)
}

// What a click has where nothing is said.
const (
	samplePayload = "plan:enterprise"
	sampleRef     = "spring_sale"
)

// fill gives the click a payload or a referral parameter, by its kind.
func (s *sender) fill(cmd *cobra.Command) error {
	c, isGiven := &s.click, cmd.Flags().Changed
	switch {
	case c.Kind == schema.KindButton && s.platform == schema.Telegram && isGiven("payload"):
		return badUsage(cmd, "--payload %q: the Start button of a bot sends /start, expected --kind %s", c.Payload, schema.KindInlineButton)
	case c.Kind == schema.KindReferral && isGiven("payload"):
		return badUsage(cmd, "--payload %q: a referral has none, expected --ref", c.Payload)
	case c.Kind == schema.KindReferral && !isGiven("ref"):
		c.Ref = sampleRef
	case c.Kind == schema.KindReferral, isGiven("payload"):
	case c.Kind == schema.KindOptin && (isGiven("ref") || isGiven("user-ref")): // that of a plugin
	default:
		c.Payload = samplePayload
	}
	return nil
}
