package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/monitor"
)

// unclaimed are the options of the command.
type unclaimed struct {
	since  age
	asJSON bool
}

func newUnclaimedCmd() *cobra.Command {
	u := unclaimed{since: age(monitor.UnclaimedPeriod)}
	cmd := &cobra.Command{
		Use:   "unclaimed",
		Short: "List the subjects of stored events that no consumer asks for",
		Long: "Lists the subjects of stored events that no consumer of the stream has a filter for: clicks\n" +
			"that nobody answers. Consumers of all events, such as an archive, do not count. The stream does\n" +
			"not know NATS subscriptions without a consumer.\n\n" +
			"With GATEWAY_FALLBACK=true the gateway also publishes such events to unclaimed.<subject>.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settings.LoadOnly(storeSettings...)
			if err != nil {
				return err
			}
			return u.run(cmd.Context(), &s, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&u.asJSON, "json", false, "print one JSON object per line")
	f.Var(&u.since, "since", "only subjects with an event within this time, like 1h or 7d")
	return cmd
}

func (u *unclaimed) run(ctx context.Context, s *settings.Settings, w, warn io.Writer) error {
	events, err := openEvents(ctx, s, "unclaimed", "")
	if err != nil {
		return err
	}
	defer events.close()
	found, err := monitor.Unclaimed(ctx, events.link, events.Settings, u.since.before(time.Now()))
	switch {
	case err != nil:
		return err
	case u.asJSON:
		return printJSON(w, found)
	case len(found) == 0:
		fmt.Fprintf(warn, "no unclaimed subject in the last %s\n", &u.since)
		return nil
	default:
		return printTable(w, found)
	}
}

func printTable(w io.Writer, found []monitor.UnclaimedSubject) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SUBJECT\tEVENTS\tLAST")
	for _, s := range found {
		fmt.Fprintf(t, "%s\t%d\t%s\n", readable(s.Subject), s.Events, s.Last.UTC().Format(lineTime))
	}
	return t.Flush()
}

func printJSON(w io.Writer, found []monitor.UnclaimedSubject) error {
	out := json.NewEncoder(w)
	for _, s := range found {
		if err := out.Encode(s); err != nil {
			return err
		}
	}
	return nil
}
