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

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/publish"
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
		Long: "Prints a line for each event of the stream, those that are stored first, until Ctrl-C.\n\n" +
			"It reads from GATEWAY_NATS_URL, or from the embedded server of a gateway on this machine\n" +
			"(GATEWAY_EMBEDDED_LISTEN). Reading takes nothing away from other consumers.",
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
			s, err := loadSome(natsSettings...)
			if err != nil {
				return err
			}
			return t.run(cmd.Context(), &s, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&t.asJSON, "json", false, "print whole events, one JSON object a line")
	f.DurationVar(&t.since, "since", 0, "only events stored since so long ago, like 1h")
	f.Uint64Var(&t.last, "last", 0, "only the last so many stored events, then new ones")
	return cmd
}

// natsSettings are those that a command needs to read the stream.
var natsSettings = []string{"NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_USER", "NATS_PASSWORD", "NATS_TOKEN",
	"NATS_CA", "NATS_CERT", "NATS_KEY", "EMBEDDED_LISTEN", "EMBEDDED_TOKEN", "SUBJECT_ROOT", "STREAM"}

// readerConfig is how consumers reach the stream.
func (s *settings) readerConfig() (publish.Config, error) {
	if len(s.NATSURL) > 0 {
		return s.clusterConfig(), nil
	}
	return s.localReader()
}

// localReader is how consumers on this machine reach the embedded server.
func (s *settings) localReader() (publish.Config, error) {
	cfg := s.streamConfig()
	if s.EmbeddedListen == off {
		return cfg, errors.New("the embedded server does not listen (GATEWAY_EMBEDDED_LISTEN=off): events can be read within the gateway only")
	}
	cfg.Servers, cfg.Token = "nats://"+reachable(s.EmbeddedListen), s.EmbeddedToken.reveal()
	return cfg, nil
}

// openStream connects as a consumer does and returns the stream's settings. The caller
// closes the connection.
func openStream(ctx context.Context, cfg publish.Config, name string) (*natsconn.Link, *jetstream.StreamInfo, error) {
	link, err := natsconn.Dial(cfg.Config, name)
	if err != nil {
		return nil, nil, explain(err, cfg)
	}
	s, err := link.JS.Stream(ctx, cfg.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = fmt.Errorf("there is no stream %s: expected GATEWAY_STREAM to be that of a gateway that has run here", cfg.Stream)
	}
	if err != nil {
		link.NC.Close()
		return nil, nil, err
	}
	return link, s.CachedInfo(), nil
}

// run prints until ctx ends.
func (t *tail) run(ctx context.Context, s *settings, w io.Writer) error {
	cfg, err := s.readerConfig()
	if err != nil {
		return err
	}
	link, info, err := openStream(ctx, cfg, "postback-gateway tail")
	if err != nil {
		return err
	}
	defer link.NC.Close()
	return t.follow(ctx, link, info, w)
}

func (t *tail) follow(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo, w io.Writer) error {
	if captured := info.Config.Subjects; t.filter != "" && !slices.ContainsFunc(captured, func(s string) bool {
		return server.SubjectsCollide(s, t.filter)
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

// oneLine returns a message as JSON on one line: one that is not JSON, which only
// other publishers can have stored, as a string.
func oneLine(message []byte) []byte {
	var line bytes.Buffer
	if json.Compact(&line, message) == nil {
		return line.Bytes()
	}
	text, _ := json.Marshal(string(message)) // a string always can be
	return text
}

const lineTime = "2006-01-02T15:04:05.000Z"

// eventLine is an event for people: when, on which subject, what and who. What
// came from outside is quoted, so that it cannot play with the terminal.
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
