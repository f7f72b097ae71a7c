package main

import (
	"bytes"
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
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/logging"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

func newDemoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Try the gateway in one terminal",
		Long: "Runs the gateway, posts a few signed postbacks to its own webhook, and prints each event as a\n" +
			"consumer on NATS receives it. It runs until you press Ctrl-C, with the same settings and data\n" +
			"directory as gateway serve.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd.ErrOrStderr())
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

// demoBot is used if no bot is configured.
const demoBot = "demo_bot"

// runDemo runs the gateway, posts to it as Meta does, and reads from NATS as a service
// does.
func runDemo(ctx context.Context, s *settings.Settings, stdout, stderr io.Writer) error {
	switch {
	case len(s.NATSURL) > 0:
		return errors.New("the demo posts invented clicks, which do not belong in a cluster: unset GATEWAY_NATS_URL")
	case s.EmbeddedListen == settings.Off:
		return errors.New("the demo reads from NATS as a consumer does: unset GATEWAY_EMBEDDED_LISTEN")
	case s.TLSCert != "":
		return errors.New("the demo posts to this machine without TLS: unset GATEWAY_TLS_CERT and GATEWAY_TLS_KEY")
	case os.Getenv("GATEWAY_LOG_LEVEL") == "":
		s.LogLevel = slog.LevelWarn.String() // the output is about the events
	}
	ownBot := len(s.TelegramSecrets) == 0
	if ownBot {
		s.TelegramSecrets = []settings.Secret{settings.NewSecret(demoBot + ":" + rand.Text())}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := make(chan error, 1)
	log := logging.New(stderr, logging.Options{Level: s.LogLevel, Format: s.LogFormat})
	err := server.Run(ctx, s, log, server.Options{Version: buildVersion(), WatchDeliveries: true, Started: func(at server.Addresses) {
		go func() {
			shown <- showDemo(ctx, s, at, ownBot, stdout)
			cancel()
		}()
	}})
	if err != nil {
		return err
	}
	return <-shown
}

func showDemo(ctx context.Context, s *settings.Settings, at server.Addresses, ownBot bool, w io.Writer) (err error) {
	defer func() {
		if ctx.Err() != nil {
			err = nil // Ctrl-C, which is how the demo ends
		}
	}()
	if ownBot { // gateway send in this directory finds it
		remove, err := s.StoreDemoBot()
		if err != nil {
			return err
		}
		defer func() { _ = remove() }()
	}
	fmt.Fprintf(w, "postback-gateway is up.\n  webhook  %s/webhooks/meta\n  NATS     %s  stream %s\n  console  %s\n\n",
		at.Webhook, at.NATS, s.Stream, at.Admin)
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
	fmt.Fprintf(w, demoEnd, program())
	for err == nil {
		err = events.show(ctx, w)
	}
	return err
}

// program is how this program was started. go run puts it into a temporary directory.
func program() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/gateway"
	}
	return os.Args[0]
}

const demoEnd = `Each click is stored once, and any number of services can read it.
Try in another terminal, in this directory and with the same settings:
  %[1]s send --payload rate:5
  %[1]s tail plan
  %[1]s parse 'your:payload'
The gateway runs and shows new events until you press Ctrl-C.

`

func demoPost(ctx context.Context, s *settings.Settings, at server.Addresses, platform string, click simulate.Click, w io.Writer) error {
	from := simulate.Platforms[platform]
	secret, err := findSecret(s, platform, &click)
	if err != nil {
		return err
	}
	click.Account = cmp.Or(click.Account, from.Account)
	if click.UserRef == "" {
		click.User = from.User
	}
	fmt.Fprintf(w, "%-16s %s\n", platform+" posts", cmp.Or(click.Payload, "/start "+click.Ref))
	request, err := from.Request(at.Webhook, secret, click)
	if err != nil {
		return err
	}
	start := time.Now()
	response, err := http.DefaultClient.Do(request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  answered       %s %s in %s\n", response.Status, bytes.TrimSpace(body), time.Since(start).Round(10*time.Microsecond))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the demo's own postback was answered %s", response.Status)
	}
	return nil
}

// demoConsumer is what the console and the nats tool show of the demo.
const demoConsumer = "gateway-demo"

// demoReader is an ordinary durable consumer with its own connection. It starts with new
// events, and is kept in memory: the embedded server forgets it with the demo.
type demoReader struct {
	from   *source
	events *stream.Reader
	batch  []*stream.Message // read, and not shown yet
}

func newDemoReader(ctx context.Context, s *settings.Settings, at server.Addresses) (*demoReader, error) {
	here := *s
	if at.NATS != "" {
		here.EmbeddedListen = strings.TrimPrefix(at.NATS, "nats://")
	}
	from, err := openEvents(ctx, &here, "demo", "")
	if err != nil {
		return nil, err
	}
	events, err := stream.Open(ctx, from.link, stream.ReaderConfig{Stream: from.Stream, Durable: jetstream.ConsumerConfig{
		Durable: demoConsumer, Description: "gateway demo prints each event", MemoryStorage: true,
		AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
	}})
	if err != nil {
		from.close()
	}
	return &demoReader{from: from, events: events}, err
}

func (r *demoReader) close() {
	r.events.Close()
	r.from.close()
}

// next waits for the next event, and acknowledges it with those that are there already.
func (r *demoReader) next(ctx context.Context) (m *stream.Message, err error) {
	for len(r.batch) == 0 {
		if r.batch, err = r.events.NextBatch(ctx); err == nil {
			err = r.events.Ack(ctx, r.batch)
		}
		if err != nil {
			return nil, err
		}
	}
	m, r.batch = r.batch[0], r.batch[1:]
	return m, nil
}

// show waits for the next event and prints it.
func (r *demoReader) show(ctx context.Context, w io.Writer) error {
	m, err := r.next(ctx)
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
