package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/analytics"
)

func newFunnelCmd() *cobra.Command {
	var query analytics.FunnelQuery
	var since, within age
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "funnel STEP STEP...",
		Short: "Count how many people went from step to step",
		Long: "  gateway funnel GET_STARTED plan checkout:pay\n\n" +
			"Counts distinct people from the stored events. A step is a prefix, such as plan, or a prefix\n" +
			"with an action, such as plan.pro or plan:pro. A person reaches a step by a click after the one\n" +
			"that reached the step before; other clicks between them do not matter.\n\n" +
			"The median is the time from the last click of the step before to the first one of the step.\n\n" +
			relayHelp,
		Example: "  gateway funnel GET_STARTED plan checkout:pay --within 1h\n  gateway funnel =referral plan --since 7d --account 682498171943165",
		RunE: func(cmd *cobra.Command, args []string) error {
			query.Steps, query.Since, query.Within = args, since.before(time.Now()), time.Duration(within)
			if err := query.Check(); err != nil {
				return badUsage(cmd, "%v", err)
			}
			s, err := settings.LoadOnly(storeSettings...)
			if err != nil {
				return err
			}
			funnel, err := countFunnel(cmd.Context(), &s, query, cmd.ErrOrStderr())
			switch {
			case err != nil:
				return err
			case asJSON:
				return json.NewEncoder(cmd.OutOrStdout()).Encode(funnel)
			default:
				return printFunnel(cmd.OutOrStdout(), funnel)
			}
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.Var(&since, "since", "only events stored within this time, like 1h or 7d")
	f.Var(&within, "within", "from the first step to the last in this time, like 1h")
	f.StringVar(&query.Account, "account", "", "only this page, account, phone number id or bot")
	return cmd
}

func countFunnel(ctx context.Context, s *settings.Settings, query analytics.FunnelQuery, warn io.Writer) (*analytics.Funnel, error) {
	events, err := openEvents(ctx, s, "funnel", "")
	if err != nil {
		return nil, err
	}
	defer events.close()
	bar := newProgress(warn)
	defer bar.done()
	return analytics.CountFunnel(ctx, events.link, events.Settings, query, bar.update)
}

func printFunnel(w io.Writer, funnel *analytics.Funnel) error {
	var t table
	t.add("PEOPLE", "OF FIRST", "OF BEFORE", "MEDIAN TIME", "STEP")
	for i, s := range funnel.Steps {
		row := []string{strconv.FormatUint(s.People, 10), percent(s.People, funnel.Steps[0].People), "", "", readable(s.Step)}
		if i > 0 {
			row[2], row[3] = percent(s.People, funnel.Steps[i-1].People), shortTime(s.Median)
		}
		t.add(row...)
	}
	if err := t.print(w); err != nil || funnel.SampleOf == 1 {
		return err
	}
	_, err := fmt.Fprintf(w, "Estimated from 1 of %d people.\n", funnel.SampleOf)
	return err
}

// shortTime has as many digits as a median deserves.
func shortTime(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	default:
		return d.Round(time.Minute).String()
	}
}
