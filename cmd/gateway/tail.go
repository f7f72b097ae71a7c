package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// tail prints events as a consumer of the stream receives them.
type tail struct {
	filter   string
	asJSON   bool
	noFollow bool
	since    age
	last     number
	lastSet  bool
}

func newTailCmd() *cobra.Command {
	var t tail
	cmd := &cobra.Command{
		Use:   "tail [filter]",
		Short: "Print stored and new events as they arrive",
		Long: "  gateway tail\n  gateway tail plan --last 10\n\n" +
			"Prints a line for each event of the stream, first those that are stored and then new ones,\n" +
			"until you press Ctrl-C. The filter is a payload, such as plan or plan:pro, or a subject filter.\n\n" +
			relayHelp + "\nOther consumers still get every event.\n\n" +
			"On a terminal the lines are short and have colors, unless NO_COLOR is set.",
		Example: "  gateway tail 'postback.v1.*.*.plan.>' --since 1h --json\n  gateway tail 'deadletter.>' --no-follow",
		Args:    oneFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			t.lastSet = cmd.Flags().Changed("last")
			t.filter = strings.Join(args, "")
			if t.since > 0 && t.lastSet {
				return badUsage(cmd, "expected --since or --last, not both")
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
	f.Var(&t.since, "since", "only events stored within this time, like 1h or 7d")
	f.Var(&t.last, "last", "only this many of the stored events, the last ones, then new events")
	f.BoolVar(&t.noFollow, "no-follow", false, "end after the stored events")
	return cmd
}

// run prints until ctx ends.
func (t *tail) run(ctx context.Context, s *settings.Settings, w io.Writer) error {
	from, err := openSource(ctx, s, "tail", t.filter)
	if err != nil {
		return err
	}
	defer from.close()
	info := from.info
	if from.Spec != stream.Events && !captures(info, from.Filters) {
		other, err := from.link.JS.Stream(ctx, from.Name(from.Spec))
		if err != nil {
			return fmt.Errorf("stream %s: %w", from.Name(from.Spec), err)
		}
		info = other.CachedInfo()
	}
	return t.follow(ctx, from.link, info, from.Filters, newEventPrinter(w, t.asJSON))
}

// captures reports whether the stream can hold what a filter matches.
func captures(info *jetstream.StreamInfo, filters []string) bool {
	return slices.ContainsFunc(info.Config.Subjects, func(s string) bool {
		return slices.ContainsFunc(filters, func(f string) bool { return natsserver.SubjectsCollide(s, f) })
	})
}

func (t *tail) follow(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo, filters []string, out eventPrinter) error {
	if len(filters) > 0 && !captures(info, filters) {
		return fmt.Errorf("no event can match %q: the stream holds %s", t.filter, strings.Join(info.Config.Subjects, ", "))
	}
	reader, skip, err := t.open(ctx, link, info, filters)
	if err != nil {
		return fmt.Errorf("subject filter %q: %w", t.filter, err)
	}
	defer reader.Close()
	for {
		m, err := reader.Next(ctx)
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if skip > 0 {
			skip--
			continue
		}
		if err := out.print(m); err != nil {
			return err
		}
	}
}

// open finds where to start. A stream has no request for the last n messages of a filter.
// So open goes back twice as far each time until there are enough, and skip is the surplus.
func (t *tail) open(ctx context.Context, link *natsconn.Link, info *jetstream.StreamInfo, filters []string) (_ *stream.Reader, skip uint64, _ error) {
	cfg := stream.ReaderConfig{Stream: info.Config.Name, Filters: filters, Follow: !t.noFollow, Inspects: "tail", Since: t.since.before(time.Now())}
	cfg.New = t.lastSet && t.last == 0
	if t.last == 0 {
		reader, err := stream.Open(ctx, link, cfg)
		return reader, 0, err
	}
	first, end := max(info.State.FirstSeq, 1), info.State.LastSeq+1
	last := uint64(t.last)
	for back := last; ; back *= 2 {
		cfg.Sequence = first
		if back < end-min(first, end) {
			cfg.Sequence = end - back
		}
		reader, err := stream.Open(ctx, link, cfg)
		if err != nil {
			return nil, 0, err
		}
		if n := reader.Pending(); n >= last || cfg.Sequence == first {
			return reader, n - min(n, last), nil
		}
		reader.Close()
	}
}
