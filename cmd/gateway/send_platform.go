package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// findSecret returns the secret that a click of the platform is posted with. It is the
// first one configured.
func findSecret(s *settings.Settings, platform string, click *simulate.Click) (string, error) {
	if schema.WebhookOf(platform) == schema.Telegram {
		return botSecret(s, click)
	}
	return appSecret(s)
}

// appSecret returns the secret that Meta signs with.
func appSecret(s *settings.Settings) (string, error) {
	if err := s.FindLocalSecrets(); err != nil {
		return "", err
	}
	if len(s.MetaAppSecrets) == 0 {
		return "", fmt.Errorf("no app secret to sign with: expected GATEWAY_META_APP_SECRETS, --secret, or a gateway that keeps its own in %s (GATEWAY_DATA_DIR)", s.DataDir)
	}
	return s.MetaAppSecrets[0].Reveal(), nil
}

// botSecret returns the secret token of the click's bot. A click without a bot gets the
// first one configured.
func botSecret(s *settings.Settings, click *simulate.Click) (string, error) {
	if err := s.FindLocalSecrets(); err != nil {
		return "", err
	}
	for _, bot := range server.TelegramSecrets(s) {
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

func platformsHelp() string { return strings.Join(schema.PlatformNames(), ", ") }

func kindsHelp() string {
	var text strings.Builder
	for _, name := range schema.PlatformNames() {
		fmt.Fprintf(&text, "  %-10s %s\n", name, kindNames(simulate.Platforms[name].Kinds))
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// kindTest is the sample of Meta's dashboard.
const kindTest = "test"

// kindsOf lists what --kind can be.
func kindsOf(platform string) []string {
	var names []string
	for _, kind := range simulate.Platforms[platform].Kinds {
		names = append(names, string(kind))
	}
	if platform == schema.Messenger {
		names = append(names, kindTest)
	}
	return names
}

// readFile has the file posted instead of a click.
func (s *sender) readFile(cmd *cobra.Command) error {
	if s.file == "" {
		return nil
	}
	for _, flag := range []string{"payload", "title", "ref", "user", "user-ref", "kind"} {
		if cmd.Flags().Changed(flag) {
			return badUsage(cmd, "--%s: the body is that of --file, expected one of them", flag)
		}
	}
	body, err := s.read(cmd.InOrStdin())
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	s.request = func(base, secret string, c simulate.Click) (*http.Request, error) {
		if schema.WebhookOf(s.platform) == schema.Telegram {
			return simulate.TelegramRequest(base, c.Account, secret, body)
		}
		return simulate.Request(base, secret, body)
	}
	return nil
}

func (s *sender) read(stdin io.Reader) ([]byte, error) {
	if s.file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(s.file)
}

func kindNames(kinds []schema.Kind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

// choose finds the platform and completes the click as its kind has it.
func (s *sender) choose(cmd *cobra.Command) (simulate.Platform, error) {
	platform, known := simulate.Platforms[s.platform]
	if !known {
		return platform, badUsage(cmd, "--platform %q is not supported: expected one of %s", s.platform, platformsHelp())
	}
	s.request = platform.Request
	s.click.Kind = schema.Kind(cmp.Or(s.kind, string(platform.Kinds[0])))
	if s.platform == schema.Messenger && s.kind == kindTest {
		s.click.Kind = schema.KindButton
		s.request = func(base, secret string, c simulate.Click) (*http.Request, error) {
			return simulate.Request(base, secret, simulate.DashboardSample(c))
		}
	}
	if !slices.Contains(platform.Kinds, s.click.Kind) {
		return platform, badUsage(cmd, "--kind %q: %s has no such clicks, expected one of %s", s.kind, s.platform, kindNames(platform.Kinds))
	}
	if s.click.UserRef == "" && !cmd.Flags().Changed("user") {
		s.click.User = platform.User
	}
	return platform, s.fill(cmd)
}

// The defaults of a click.
const (
	samplePayload = "plan:enterprise"
	sampleForm    = `{"saved_address_id":"address1"}`
	sampleRef     = "spring_sale"
	sampleStart   = "/start" // that of every bot's Start button
)

// fill gives the click a payload or a referral parameter, by its kind.
func (s *sender) fill(cmd *cobra.Command) error {
	c, isGiven := &s.click, cmd.Flags().Changed
	switch {
	case c.Kind == schema.KindButton && s.platform == schema.Telegram:
		if isGiven("payload") && c.Payload != sampleStart {
			return badUsage(cmd, "--payload %q: the Start button of a bot sends %s, expected --kind %s", c.Payload, sampleStart, schema.KindInlineButton)
		}
		c.Payload = sampleStart
	case c.Kind == schema.KindReferral && isGiven("payload"):
		return badUsage(cmd, "--payload %q: a referral has none, expected --ref", c.Payload)
	case c.Kind == schema.KindIdentity && isGiven("payload"):
		return badUsage(cmd, "--payload %q: the kind %s has none", c.Payload, c.Kind)
	case c.Kind == schema.KindIdentity:
	case c.Kind == schema.KindOptin && s.platform == schema.WhatsApp:
		return s.fillPreference(cmd)
	case c.Kind == schema.KindReferral && !isGiven("ref"):
		c.Ref = sampleRef
	case c.Kind == schema.KindReferral, isGiven("payload"):
	case c.Kind == schema.KindOptin && (isGiven("ref") || isGiven("user-ref")): // that of a plugin
	case c.Kind == schema.KindForm:
		c.Payload = sampleForm
	default:
		c.Payload = samplePayload
	}
	return nil
}

// adviseOn says what to do about an answer that is not 200; nothing if the answer does.
func (s *sender) adviseOn(status int) string {
	switch {
	case status == http.StatusNotFound && schema.WebhookOf(s.platform) == schema.Telegram:
		return fmt.Sprintf("; the gateway at %s has no bot %s: expected it to run with the same GATEWAY_TELEGRAM_SECRETS", s.url, s.click.Account)
	case status == http.StatusUnauthorized && s.secretFrom != "" && schema.WebhookOf(s.platform) != schema.Telegram:
		return fmt.Sprintf("; the secret is that of %s: expected the gateway's, or --secret", s.secretFrom)
	default:
		return ""
	}
}

// fillPreference completes an opt-out or a renewed opt-in on WhatsApp.
func (s *sender) fillPreference(cmd *cobra.Command) error {
	if cmd.Flags().Changed("payload") {
		return badUsage(cmd, "--payload %q: the kind %s has none, expected --ref %s or --ref %s", s.click.Payload, s.click.Kind, simulate.Stop, simulate.Resume)
	}
	s.click.Ref = cmp.Or(s.click.Ref, simulate.Stop)
	if s.click.Ref != simulate.Stop && s.click.Ref != simulate.Resume {
		return badUsage(cmd, "--ref %q: expected %s or %s", s.click.Ref, simulate.Stop, simulate.Resume)
	}
	return nil
}
