package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/schema"
)

// tail prints events as a consumer of the stream receives them.
type tail struct {
	filter  string
	asJSON  bool
	since   time.Duration
	last    uint64
	lastSet bool
}

func newTailCmd() *cobra.Command {
	var t tail
	cmd := &cobra.Command{
		Use:   "tail [subject filter]",
		Short: "Print stored and new events as they arrive",
		Long: "Prints a line for each event of the stream, first those that are stored and then new ones,\n" +
			"until you press Ctrl-C.\n\n" +
			"It reads from GATEWAY_NATS_URL, or from the embedded server of a gateway on this machine\n" +
			"(GATEWAY_EMBEDDED_LISTEN). Other consumers still get every event.",
		Example: "  gateway tail --last 10\n  gateway tail 'postback.v1.*.*.plan.*' --since 1h --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return badUsage(cmd, "tail takes one subject filter, got %d arguments (quote a filter with * or >)", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			t.lastSet = cmd.Flags().Changed("last")
			if len(args) == 1 {
				t.filter = args[0]
			}
			if t.since < 0 || t.since > 0 && t.lastSet {
				return badUsage(cmd, "expected a positive --since, or --last, not both")
			}
			s, err := settings.LoadOnly(storeSettings...)
			if err != nil {
				return err
			}
			return t.run(cmd.Context(), &s, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&t.asJSON, "json", false, "print whole events, one JSON object per line")
	f.DurationVar(&t.since, "since", 0, "only events stored within this time, like 1h")
	f.Uint64Var(&t.last, "last", 0, "only this many of the stored events, the last ones, then new events")
	return cmd
}

// storeSettings match the settings that a command needs to read the stream.
var storeSettings = []string{"GATEWAY_NATS_*", "GATEWAY_EMBEDDED_*", "GATEWAY_SUBJECT_ROOT", "GATEWAY_STREAM"}

// openStream connects as a consumer does. The caller closes the connection.
func openStream(ctx context.Context, store server.Store, name string) (*nats.Conn, jetstream.Stream, error) {
	nc, err := publish.Dial(store.Config, name)
	if err != nil {
		return nil, nil, store.Explain(err)
	}
	stream, err := findStream(ctx, nc, store.Config.Stream)
	if err != nil {
		nc.Close()
	}
	return nc, stream, err
}

func findStream(ctx context.Context, nc *nats.Conn, name string) (jetstream.Stream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("stream %s does not exist: set GATEWAY_STREAM to that of a gateway that has run here", name)
	}
	return stream, err
}

// inactiveThreshold is how long the server keeps the consumer of a tail that was killed.
const inactiveThreshold = time.Minute

// run prints until ctx ends.
func (t *tail) run(ctx context.Context, s *settings.Settings, w io.Writer) error {
	store, err := server.ConsumerStore(s)
	if err != nil {
		return err
	}
	nc, stream, err := openStream(ctx, store, "postback-gateway tail")
	if err != nil {
		return err
	}
	defer nc.Close()
	return t.follow(ctx, stream, w)
}

func (t *tail) follow(ctx context.Context, stream jetstream.Stream, w io.Writer) error {
	if captured := stream.CachedInfo().Config.Subjects; t.filter != "" && !slices.ContainsFunc(captured, func(s string) bool {
		return natsserver.SubjectsCollide(s, t.filter)
	}) {
		return fmt.Errorf("no event can match %q: the stream holds %s", t.filter, strings.Join(captured, ", "))
	}
	cfg, skip, err := t.position(ctx, stream)
	if err != nil {
		return err
	}
	consumer, err := stream.OrderedConsumer(ctx, cfg)
	if err != nil {
		return fmt.Errorf("subject filter %q: %w", t.filter, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if skip > 0 {
			skip--
			continue
		}
		if err := t.print(w, m); err != nil {
			return err
		}
	}
}

// position finds where to start. NATS cannot return the last n messages of a filter, so
// this goes back twice as far each time until there are enough; the surplus is skipped.
func (t *tail) position(ctx context.Context, stream jetstream.Stream) (jetstream.OrderedConsumerConfig, uint64, error) {
	cfg := jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverAllPolicy,
		InactiveThreshold: inactiveThreshold,
		Metadata:          map[string]string{publish.LookMetadata: "tail"},
	}
	if t.filter != "" {
		cfg.FilterSubjects = []string{t.filter}
	}
	switch {
	case t.since > 0:
		start := time.Now().Add(-t.since)
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &start
		return cfg, 0, nil
	case !t.lastSet:
		return cfg, 0, nil
	case t.last == 0:
		cfg.DeliverPolicy = jetstream.DeliverNewPolicy
		return cfg, 0, nil
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return cfg, 0, err
	}
	first, end := info.State.FirstSeq, info.State.LastSeq+1
	cfg.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	for back := t.last; ; back *= 2 {
		cfg.OptStartSeq = max(first, 1)
		if back < end-min(first, end) {
			cfg.OptStartSeq = end - back
		}
		pending, err := countFrom(ctx, stream, cfg)
		if err != nil || pending >= t.last || cfg.OptStartSeq <= max(first, 1) {
			return cfg, pending - min(pending, t.last), err
		}
	}
}

// countFrom returns how many stored messages a consumer would get.
func countFrom(ctx context.Context, stream jetstream.Stream, cfg jetstream.OrderedConsumerConfig) (uint64, error) {
	consumer, err := stream.OrderedConsumer(ctx, cfg)
	if err != nil {
		return 0, err
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.NumPending, stream.DeleteConsumer(ctx, info.Name)
}

func (t *tail) print(w io.Writer, m jetstream.Msg) error {
	if t.asJSON {
		_, err := fmt.Fprintf(w, "%s\n", oneLine(m.Data()))
		return err
	}
	line := m.Subject() + "  not an event"
	var e schema.Event
	var d schema.DeadLetter
	if json.Unmarshal(m.Data(), &e) == nil && e.SpecVersion != "" {
		line = eventLine(m.Subject(), &e)
	} else if json.Unmarshal(m.Data(), &d) == nil && d.Reason != "" {
		line = fmt.Sprintf("%s  %s  %q  %d bytes", d.ReceivedAt.Format(lineTime), m.Subject(), d.Detail, d.Length)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// oneLine returns a message as JSON on one line. One that is not JSON, which only other
// publishers can have stored, becomes a string.
func oneLine(message []byte) []byte {
	var line bytes.Buffer
	if json.Compact(&line, message) == nil {
		return line.Bytes()
	}
	text, _ := json.Marshal(string(message)) // a string always can be
	return text
}

const lineTime = "2006-01-02T15:04:05.000Z"

// eventLine shows an event to people: when, on which subject, what and who. Texts from
// outside are quoted, so that they cannot control the terminal.
func eventLine(subject string, e *schema.Event) string {
	return e.Time.Format(lineTime) + "  " + subject + "  " + eventDetail(e)
}

func eventDetail(e *schema.Event) string {
	line := string(e.Data.Kind)
	if e.Data.Channel != schema.ChannelPrimary {
		line += "  channel=" + string(e.Data.Channel)
	}
	for _, field := range []struct{ name, value string }{
		{"title", e.Data.Title}, {"payload", payloadText(e.Data.Payload)}, {"ref", refText(e.Data.Referral)},
		{"user", e.Data.User.ID}, {"user_ref", e.Data.User.Ref},
	} {
		if field.value != "" {
			line += fmt.Sprintf("  %s=%q", field.name, field.value)
		}
	}
	return line
}

func payloadText(p *schema.Payload) string {
	if p == nil {
		return ""
	}
	return p.Raw
}

func refText(r *schema.Referral) string {
	if r == nil {
		return ""
	}
	return r.Ref
}
