package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

func newDemoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "The whole product in one terminal, for a first look",
		Long: "Runs the gateway, posts a few signed postbacks to its own webhook, prints each event as a\n" +
			"consumer on NATS receives it, and stays up until Ctrl-C. It uses the same settings and the\n" +
			"same data directory as gateway serve.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings()
			if err != nil {
				return err
			}
			return runDemo(cmd.Context(), &s, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

// demoClicks show what the payload rule and the event hold, on every platform.
var demoClicks = []struct {
	platform string
	click    simulate.Click
}{
	{schema.Messenger, simulate.Click{Title: "Get Started", Payload: "GET_STARTED", Ref: "spring_sale"}},
	{schema.Messenger, simulate.Click{Title: "Enterprise", Payload: "plan:enterprise"}},
	{schema.Messenger, simulate.Click{UserRef: "a9f3c2", Title: "Add to cart", Payload: "add_to_cart_42"}},
	{schema.Instagram, simulate.Click{Kind: schema.KindQuickReply, Title: "Yes \U0001F600", Payload: `understood:{"response":"yes"}`}},
	{schema.WhatsApp, simulate.Click{Kind: schema.KindList, Title: "Enterprise", Payload: "plan:enterprise"}},
	{schema.Telegram, simulate.Click{Title: "Track", Payload: "order:8123991"}},
	{schema.Telegram, simulate.Click{Kind: schema.KindReferral, Ref: "spring_sale"}},
}

// demoBot is the bot of a demo where none is configured.
const demoBot = "demo_bot"

// runDemo is the gateway with two helpers beside it: one that posts, as Meta
// would, and one that reads from NATS, as a service would.
func runDemo(ctx context.Context, s *settings, stdout, stderr io.Writer) error {
	switch {
	case len(s.NATSURL) > 0:
		return errors.New("the demo posts invented clicks, which have no place in a cluster: unset GATEWAY_NATS_URL")
	case s.EmbeddedListen == off:
		return errors.New("the demo reads from NATS as a consumer does: unset GATEWAY_EMBEDDED_LISTEN")
	case s.TLSCert != "":
		return errors.New("the demo posts to this machine without TLS: unset GATEWAY_TLS_CERT and GATEWAY_TLS_KEY")
	case os.Getenv("GATEWAY_LOG_LEVEL") == "":
		s.LogLevel = slog.LevelWarn.String() // the events are what is looked at
	}
	if len(s.TelegramSecrets) == 0 {
		s.TelegramSecrets = []secret{newSecret(demoBot + ":" + rand.Text())}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := make(chan error, 1)
	err := run(ctx, s, newLogger(s, stderr), func(at addresses) {
		go func() {
			shown <- showDemo(ctx, s, at, stdout)
			cancel()
		}()
	})
	if err != nil {
		return err
	}
	return <-shown
}

func showDemo(ctx context.Context, s *settings, at addresses, w io.Writer) error {
	fmt.Fprintf(w, "postback-gateway is up.\n  webhook  %s/webhooks/meta\n  NATS     %s  stream %s\n  metrics  %s/metrics\n\n",
		at.webhook, at.nats, s.Stream, at.admin)
	events, err := newDemoReader(ctx, s, at)
	if err != nil {
		return err
	}
	defer events.close()
	for _, c := range demoClicks {
		if err := demoPost(ctx, s, at, c.platform, c.click, w); err != nil {
			return err
		}
		if err := events.show(ctx, w); err != nil {
			return err
		}
	}
	fmt.Fprint(w, demoEnd)
	for err == nil {
		err = events.show(ctx, w)
	}
	if ctx.Err() != nil {
		return nil // Ctrl-C, which is how the demo ends
	}
	return err
}

const demoEnd = `That is all: each click is stored once, and any number of services can read it.
In another terminal, in this directory:
  go run ./cmd/gateway send --payload rate:5
  go run ./cmd/gateway tail 'postback.v1.*.*.plan.*'
  go run ./cmd/gateway parse 'your:payload'
This gateway stays up, and shows what arrives, until Ctrl-C.

`

func demoPost(ctx context.Context, s *settings, at addresses, platform string, click simulate.Click, w io.Writer) error {
	from := &simulations[slices.IndexFunc(simulations, func(p simulation) bool { return p.platform == platform })]
	secret, err := from.login(s, &click)
	if err != nil {
		return err
	}
	click.Account = cmp.Or(click.Account, from.account)
	if click.UserRef == "" {
		click.User = from.user
	}
	fmt.Fprintf(w, "%-16s %s\n", platform+" posts", cmp.Or(click.Payload, "/start "+click.Ref))
	request, err := from.request(at.webhook, secret, click)
	if err != nil {
		return err
	}
	start := time.Now()
	response, err := http.DefaultClient.Do(request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  answered       %s %s in %s\n", response.Status, answer, time.Since(start).Round(10*time.Microsecond))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the demo's own postback was answered %s", response.Status)
	}
	return nil
}

// demoReader is a consumer like any other: it has its own connection and starts
// with what comes next.
type demoReader struct {
	link   *natsconn.Link
	events *stream.Reader
}

func newDemoReader(ctx context.Context, s *settings, at addresses) (*demoReader, error) {
	cfg, err := s.readerConfig()
	if err != nil {
		return nil, err
	}
	cfg.Servers = at.nats
	link, _, err := openStream(ctx, cfg, "postback-gateway demo")
	if err != nil {
		return nil, err
	}
	events, err := stream.Open(ctx, link, stream.ReaderConfig{Stream: cfg.Stream, New: true, Follow: true})
	if err != nil {
		link.NC.Close()
	}
	return &demoReader{link, events}, err
}

func (r *demoReader) close() {
	r.events.Close()
	r.link.NC.Close()
}

// show waits for the next event and prints it.
func (r *demoReader) show(ctx context.Context, w io.Writer) error {
	m, err := r.events.Next(ctx)
	if err != nil {
		return err
	}
	var e schema.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "  NATS received  %s\n                 %s\n\n", m.Subject, eventDetail(&e))
	return err
}
