package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// sender posts simulated clicks to a webhook.
type sender struct {
	url      string
	secret   string
	platform string
	kind     string
	file     string // of a body to post; empty for a click
	click    simulate.Click
	request  func(base, secret string, click simulate.Click) (*http.Request, error)
	count    int
	rate     float64 // a second; 0 for no limit
	client   *http.Client

	secretFrom string // where Meta's app secret is configured; empty with --secret
}

// sendTimeout is longer than the gateway takes to give up on its store.
const sendTimeout = 30 * time.Second

func newSendCmd() *cobra.Command {
	s := sender{client: &http.Client{Timeout: sendTimeout}}
	cmd := &cobra.Command{
		Use:   "send",
		Short: "Post a realistic, correctly signed postback to a running gateway",
		Long: "  gateway send --payload plan:enterprise\n\n" +
			"Posts a delivery as the platform would, signed, and prints the answer.\n\n" +
			"The webhook's address and the secrets are those of the environment and the data\n" +
			"directory, so in the directory of a running gateway no flag is needed. Telegram needs\n" +
			"GATEWAY_TELEGRAM_SECRETS here, too.\n\n" +
			"Platforms and the kinds of clicks that they have:\n" + kindsHelp() + "\n" +
			"  Messenger also has test: the sample of the Test button in Meta's dashboard.\n" +
			"  An optin of WhatsApp is an opt-out, or with --ref resume an opt-in again.",
		Example: "  gateway send --payload plan:enterprise\n" +
			"  gateway send --platform instagram --kind quick_reply --payload confirm:yes\n" +
			"  gateway send --kind referral --ref spring_sale\n" +
			"  gateway send --payload rate:5 --count 100 --rate 10\n" +
			"  gateway send --file body.json",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.prepare(cmd); err != nil {
				return err
			}
			return s.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.click.Payload, "payload", "", "the payload behind the button (default "+samplePayload+"; a referral has none, an opt-in of a plugin neither)")
	f.StringVar(&s.click.Title, "title", "A button", "what stands on the button")
	f.StringVar(&s.click.Ref, "ref", "", "a referral parameter: the person came by a link (a referral's default: "+sampleRef+")")
	f.StringVar(&s.click.User, "user", "", "the person's id (default: one as the platform has them)")
	f.StringVar(&s.click.UserRef, "user-ref", "", "the person's user_ref; with it --user is empty unless given")
	f.StringVar(&s.click.Account, "account", "", "the id of the page, account or phone number, or the bot's name (default: one as the platform has them, or the first bot)")
	f.StringVar(&s.platform, "platform", schema.Messenger, "the platform to be: "+platformsHelp())
	f.StringVar(&s.kind, "kind", "", "what the person does (default: the first of the platform's kinds)")
	f.StringVar(&s.file, "file", "", "post this file as the body, signed, whatever is in it; - is standard input")
	f.IntVar(&s.count, "count", 1, "how many deliveries, one after the other, each a new click")
	f.Float64Var(&s.rate, "rate", 0, "at most so many a second; 0 for no limit")
	f.StringVar(&s.url, "url", "", "base address of the webhook (default: where GATEWAY_LISTEN is, on this machine)")
	f.StringVar(&s.secret, "secret", "", "the app secret to sign with, or the secret token of the bot (default: the first configured, or the one in the data directory)")
	completeValues(cmd, "platform", schema.PlatformNames()...)
	_ = cmd.RegisterFlagCompletionFunc("kind", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return kindsOf(s.platform), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// prepare checks the flags and finds out what they leave open.
func (s *sender) prepare(cmd *cobra.Command) error {
	switch {
	case s.count < 1:
		return badUsage(cmd, "--count %d: expected 1 or more", s.count)
	case s.rate < 0:
		return badUsage(cmd, "--rate %g: expected 0 or more", s.rate)
	}
	platform, err := s.choose(cmd)
	if err != nil {
		return err
	}
	given, err := settings.LoadOnly("GATEWAY_LISTEN", "GATEWAY_DATA_DIR", "GATEWAY_META_APP_SECRETS", "GATEWAY_TELEGRAM_SECRETS", "GATEWAY_TLS_CERT")
	if err != nil {
		return err
	}
	s.url = strings.TrimSuffix(cmp.Or(s.url, webhookURL(&given)), "/")
	if u, err := url.Parse(s.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return badUsage(cmd, "--url %q: expected a base address like http://127.0.0.1:8080", s.url)
	}
	if s.secret == "" {
		s.secretFrom = "GATEWAY_META_APP_SECRETS"
		if len(given.MetaAppSecrets) == 0 {
			s.secretFrom = filepath.Join(given.DataDir, settings.AppSecretFile)
		}
		if s.secret, err = findSecret(&given, s.platform, &s.click); err != nil {
			return err
		}
	}
	s.click.Account = cmp.Or(s.click.Account, platform.Account)
	return s.readFile(cmd)
}

// webhookURL is where the gateway of these settings is reached from this machine.
func webhookURL(s *settings.Settings) string {
	if s.TLSCert != "" {
		return "https://" + settings.Reachable(s.Listen)
	}
	return "http://" + settings.Reachable(s.Listen)
}

// run posts count deliveries and prints a line for each. The error counts those
// that were not answered 200.
func (s *sender) run(ctx context.Context, w io.Writer) error {
	limit := rate.NewLimiter(rate.Inf, 1)
	if s.rate > 0 {
		limit = rate.NewLimiter(rate.Limit(s.rate), 1)
	}
	refused, last := 0, 0
	for range s.count {
		if err := limit.Wait(ctx); err != nil {
			return nil // asked to stop
		}
		status, err := s.post(ctx, w)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			refused, last = refused+1, status
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d deliveries were not answered 200%s", refused, s.count, s.adviseOn(last))
	}
	return nil
}

func (s *sender) post(ctx context.Context, w io.Writer) (status int, err error) {
	request, err := s.request(s.url, s.secret, s.click)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	response, err := s.client.Do(request.WithContext(ctx))
	if err != nil {
		return 0, fmt.Errorf("%w: expected a gateway at %s (gateway serve, or --url)", errors.Unwrap(err), s.url)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(w, "%s %s %s  %s\n", cmp.Or(s.file, s.click.Payload, s.click.Ref, string(s.click.Kind)), response.Status, bytes.TrimSpace(answer), time.Since(start).Round(10*time.Microsecond))
	return response.StatusCode, nil
}
