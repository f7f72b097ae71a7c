package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/analytics"
)

// stats are the options of the command.
type stats struct {
	filter string
	since  age
	by     []string
	asJSON bool
}

func newStatsCmd() *cobra.Command {
	var s stats
	cmd := &cobra.Command{
		Use:   "stats [filter]",
		Short: "Count the stored events: the most pressed buttons",
		Long: "  gateway stats\n  gateway stats plan --since 1d\n\n" +
			"Counts the stored events by the prefix and action of their payloads, most pressed first.\n" +
			"The filter is a payload, such as plan or plan:pro, or a subject filter.\n\n" +
			"Without --since the stream has the numbers at hand. With it the events are read: a million in\n" +
			"a few seconds, or in minutes while events are stored, because deliveries come first. Both\n" +
			"count the events that the stream still holds.\n\n" +
			relayHelp,
		Example: "  gateway stats --by platform,account\n  gateway stats 'postback.v1.messenger.>' --since 1h --json",
		Args:    oneFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.filter = strings.Join(args, "")
			for _, field := range s.by {
				if !slices.Contains(analytics.Fields, field) {
					return badUsage(cmd, "--by %q: expected some of %s", field, strings.Join(analytics.Fields, ","))
				}
			}
			given, err := settings.LoadOnly(storeSettings...)
			if err != nil {
				return err
			}
			return s.run(cmd.Context(), &given, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&s.asJSON, "json", false, "print one JSON object")
	f.Var(&s.since, "since", "only events stored within this time, like 1h or 7d")
	f.StringSliceVar(&s.by, "by", []string{"prefix", "action"}, "count by these: "+strings.Join(analytics.Fields, ","))
	completeValues(cmd, "by", analytics.Fields...)
	return cmd
}

// oneFilter accepts no or one argument.
func oneFilter(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return badUsage(cmd, "%s takes one filter, got %d arguments (quote a filter with * or >)", cmd.Name(), len(args))
	}
	return nil
}

func (s *stats) run(ctx context.Context, given *settings.Settings, w, warn io.Writer) error {
	events, err := openEvents(ctx, given, "stats", s.filter)
	if err != nil {
		return err
	}
	defer events.close()
	bar := newProgress(warn)
	counts, err := analytics.CountEvents(ctx, events.link, events.Settings,
		analytics.Query{Filters: events.Filters, Since: s.since.before(time.Now()), By: s.by}, bar.update)
	bar.done()
	switch {
	case err != nil:
		return err
	case s.asJSON:
		return json.NewEncoder(w).Encode(counts)
	default:
		return s.print(w, counts)
	}
}

func (s *stats) print(w io.Writer, counts *analytics.Counts) error {
	var t table
	head := []string{"EVENTS", "SHARE"}
	for _, field := range analytics.Fields {
		if slices.Contains(s.by, field) {
			head = append(head, strings.ToUpper(field))
		}
	}
	t.add(head...)
	for _, c := range counts.Groups {
		row := []string{strconv.FormatUint(c.Events, 10), percent(c.Events, counts.Total)}
		for i, value := range c.Values() {
			if slices.Contains(s.by, analytics.Fields[i]) {
				row = append(row, value)
			}
		}
		t.add(row...)
	}
	if counts.Others > 0 {
		t.add(strconv.FormatUint(counts.Others, 10), percent(counts.Others, counts.Total), "(others)")
	}
	t.add(strconv.FormatUint(counts.Total, 10), "", "in all")
	return t.print(w)
}

func percent(part, all uint64) string {
	if all == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(all))
}
