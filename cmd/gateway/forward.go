package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/logging"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// forward posts events to an HTTP endpoint, one after the other.
type forward struct {
	to      string
	durable string
	filter  string
	since   age
	asJSON  bool
	client  *http.Client
}

func newForwardCmd() *cobra.Command {
	f := forward{client: &http.Client{
		Timeout:       forwardTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	cmd := &cobra.Command{
		Use:   "forward --to URL [filter]",
		Short: "Post events to an HTTP endpoint, for services without NATS",
		Long: "  gateway forward --to http://127.0.0.1:3000/clicks plan\n\n" +
			"Posts each new event as a CloudEvent over HTTP in structured mode, in order, until you press\n" +
			"Ctrl-C. Any 2xx accepts the event. Everything else is tried again, with pauses that grow to\n" +
			"30 seconds, before the next event is posted.\n\n" +
			"With --durable the position is kept in a durable consumer of that name: after a restart the\n" +
			"command goes on where it was. An event can then come twice; its id is the same.",
		Example: "  gateway forward --to https://bot.internal/events --durable bot --since 1h",
		Args:    oneFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.filter = strings.Join(args, "")
			if u, err := url.Parse(f.to); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return badUsage(cmd, "--to %q: expected an address like http://127.0.0.1:3000/clicks", f.to)
			}
			s, err := settings.LoadOnly(storeSettings...)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), &s, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "", "the address to post to")
	flags.StringVar(&f.durable, "durable", "", "the name of the durable consumer that keeps the position")
	flags.Var(&f.since, "since", "begin with events stored within this time, like 1h or 7d; a durable consumer that exists goes on where it was")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object per event")
	return cmd
}

const (
	forwardTimeout  = 30 * time.Second
	minForwardPause = 250 * time.Millisecond
	maxForwardPause = 30 * time.Second
)

func (f *forward) run(ctx context.Context, s *settings.Settings, w, warn io.Writer) error {
	events, err := openEvents(ctx, s, "forward", f.filter)
	if err != nil {
		return err
	}
	defer events.close()
	next, closeReader, err := f.open(ctx, events, warn)
	if err != nil {
		return err
	}
	defer closeReader()
	for {
		m, acknowledge, err := next(ctx)
		if err == nil {
			err = f.post(ctx, m, w, warn)
		}
		if err == nil {
			acknowledge(ctx)
		}
		if ctx.Err() != nil {
			return nil // asked to stop
		}
		if err != nil {
			return err
		}
	}
}

// nextEvent returns an event, and what to call when it is accepted.
type nextEvent func(context.Context) (*stream.Message, func(context.Context), error)

func (f *forward) open(ctx context.Context, events *source, warn io.Writer) (nextEvent, func(), error) {
	cfg := stream.ReaderConfig{Stream: events.Stream, Filters: events.Filters, Follow: true, New: f.since == 0, Since: f.since.before(time.Now())}
	if f.durable != "" {
		var err error
		if cfg.Durable, err = f.consumer(ctx, events); err != nil {
			return nil, nil, err
		}
		cfg.Log = logging.New(warn, logging.Options{Level: "warn"})
	}
	open := func(ctx context.Context) (*stream.Reader, error) { return stream.Open(ctx, events.link, cfg) }
	r, err := open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if f.durable != "" {
		d := &durableEvents{open: open, reader: r, warn: warn}
		return d.next, d.close, nil
	}
	return func(ctx context.Context) (*stream.Message, func(context.Context), error) {
		m, err := r.Next(ctx)
		return m, func(context.Context) {}, err
	}, r.Close, nil
}

// consumer returns the settings of the durable consumer: its own if it exists.
func (f *forward) consumer(ctx context.Context, events *source) (jetstream.ConsumerConfig, error) {
	old, err := events.link.JS.Consumer(ctx, events.Stream, f.durable)
	if err == nil {
		return old.CachedInfo().Config, nil
	}
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return jetstream.ConsumerConfig{}, fmt.Errorf("consumer %q: %w", f.durable, err)
	}
	cfg := jetstream.ConsumerConfig{
		Durable: f.durable, Description: "gateway forward", AckPolicy: jetstream.AckExplicitPolicy,
		MaxAckPending:  1, // in order, and nothing waits in this process
		FilterSubjects: events.Filters, DeliverPolicy: jetstream.DeliverNewPolicy,
	}
	if start := f.since.before(time.Now()); !start.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &start
	}
	return cfg, nil
}

// forwarded is a line about an event.
type forwarded struct {
	Subject  string `json:"subject"`
	ID       string `json:"nats_msg_id"`
	Status   int    `json:"status"`
	Attempts int    `json:"attempts"`
}

// post returns when the event is accepted, or ctx ends.
func (f *forward) post(ctx context.Context, m *stream.Message, w, warn io.Writer) error {
	line := forwarded{Subject: m.Subject, ID: m.Header.Get(jetstream.MsgIDHeader)}
	err := retry(ctx, warn, m.Subject, func() (err error) {
		line.Attempts++
		line.Status, err = f.attempt(ctx, m)
		return err
	})
	if err != nil {
		return err
	}
	return f.print(w, line)
}

// retry tries again, with pauses that grow, until there is no error, or ctx ends.
func retry(ctx context.Context, warn io.Writer, what string, try func() error) error {
	for pause := minForwardPause; ; pause = min(2*pause, maxForwardPause) {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(warn, "gateway: %s: %v; trying again in %s\n", what, err, pause)
		natsconn.Sleep(ctx, pause)
	}
}

func (f *forward) attempt(ctx context.Context, m *stream.Message) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.to, bytes.NewReader(m.Data))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	for _, name := range []string{"traceparent", "tracestate"} {
		if value := m.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	response, err := f.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	if response.StatusCode/100 != 2 {
		return response.StatusCode, fmt.Errorf("answered %s, expected 2xx", response.Status)
	}
	return response.StatusCode, nil
}

func (f *forward) print(w io.Writer, line forwarded) error {
	if f.asJSON {
		return json.NewEncoder(w).Encode(line)
	}
	_, err := fmt.Fprintf(w, "%d  %s\n", line.Status, line.Subject)
	return err
}
