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
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
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

// openStream connects as a consumer does and returns the stream's settings. The caller
// closes the connection.
func openStream(ctx context.Context, store server.Store, name string) (*natsconn.Link, *jetstream.StreamInfo, error) {
	link, err := natsconn.Dial(store.Config.Config, name)
	if err != nil {
		return nil, nil, store.Explain(err)
	}
	s, err := link.JS.Stream(ctx, store.Config.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = fmt.Errorf("stream %s does not exist: set GATEWAY_STREAM to that of a gateway that has run here", store.Config.Stream)
	}
	if err != nil {
		link.NC.Close()
		return nil, nil, err
	}
	return link, s.CachedInfo(), nil
}

// run prints until ctx ends.
func (t *tail) run(ctx context.Context, s *settings.Settings, w io.Writer) error {
	store, err := server.ConsumerStore(s)
	if err != nil {
		return err
	}
	link, info, err := openStream(ctx, store, "postback-gateway tail")
	if err != nil {
		return err
	}
	defer link.NC.Close()
	return t.follow(ctx, link, info, w)
}

func (t *tail) follow(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo, w io.Writer) error {
	if captured := info.Config.Subjects; t.filter != "" && !slices.ContainsFunc(captured, func(s string) bool {
		return natsserver.SubjectsCollide(s, t.filter)
	}) {
		return fmt.Errorf("no event can match %q: the stream holds %s", t.filter, strings.Join(captured, ", "))
	}
	reader, skip, err := t.open(ctx, link, info)
	if err != nil {
		return fmt.Errorf("subject filter %q: %w", t.filter, err)
	}
	defer reader.Close()
	for {
		m, err := reader.Next(ctx)
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

// open finds where to start. A stream has no request for the last n messages of a filter.
// So open goes back twice as far each time until there are enough, and skip is the surplus.
func (t *tail) open(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo) (_ *stream.Reader, skip uint64, _ error) {
	cfg := stream.ReaderConfig{Stream: info.Config.Name, Follow: true, Inspects: "tail"}
	if t.filter != "" {
		cfg.Filters = []string{t.filter}
	}
	if t.since > 0 {
		cfg.Since = time.Now().Add(-t.since)
	}
	cfg.New = t.lastSet && t.last == 0
	if t.last == 0 {
		reader, err := stream.Open(ctx, link, cfg)
		return reader, 0, err
	}
	first, end := max(info.State.FirstSeq, 1), info.State.LastSeq+1
	for back := t.last; ; back *= 2 {
		cfg.Sequence = first
		if back < end-min(first, end) {
			cfg.Sequence = end - back
		}
		reader, err := stream.Open(ctx, link, cfg)
		if err != nil {
			return nil, 0, err
		}
		if n := reader.Pending(); n >= t.last || cfg.Sequence == first {
			return reader, n - min(n, t.last), nil
		}
		reader.Close()
	}
}

func (t *tail) print(w io.Writer, m *stream.Message) error {
	if t.asJSON {
		_, err := fmt.Fprintf(w, "%s\n", oneLine(m.Data))
		return err
	}
	line := m.Subject + "  not an event"
	var e schema.Event
	var d schema.DeadLetter
	if json.Unmarshal(m.Data, &e) == nil && e.SpecVersion != "" {
		line = eventLine(m.Subject, &e)
	} else if json.Unmarshal(m.Data, &d) == nil && d.Reason != "" {
		line = fmt.Sprintf("%s  %s  %q  %d bytes", d.ReceivedAt.Format(lineTime), m.Subject, d.Detail, d.Length)
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
