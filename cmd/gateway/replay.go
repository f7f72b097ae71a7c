package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/publish/stream"
)

// replayCmd are the options of the command.
type replayCmd struct {
	request replay.Request
	filter  string
	givenUp string
	since   age
	dryRun  bool
	yes     bool
	asJSON  bool
}

func newReplayCmd() *cobra.Command {
	var r replayCmd
	cmd := &cobra.Command{
		Use:   "replay [filter]",
		Short: "Have a consumer receive stored events again",
		Long: "  gateway replay --consumer billing --since 1h\n  gateway replay --given-up billing --dry-run\n\n" +
			"Resets a durable consumer to the first event that matches. It receives all events of its\n" +
			"filters from there on again, also those that it has acknowledged. Their ids are the same, so a\n" +
			"program that acts once for each id does nothing twice. Nothing is published, and other\n" +
			"consumers receive nothing.\n\n" +
			"Without --yes or --dry-run the command says what it would do and asks.",
		Example: "  gateway replay --consumer billing plan:pro --since 2d\n  gateway replay --consumer billing --id m_AbCdEf\n  gateway replay --given-up billing --yes",
		Args:    oneFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.prepare(cmd, args); err != nil {
				return err
			}
			s, err := settings.LoadOnly(storeSettings...)
			if err != nil {
				return err
			}
			return r.run(cmd, &s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.request.Consumer, "consumer", "", "the durable consumer that receives the events")
	f.StringVar(&r.givenUp, "given-up", "", "a consumer: replay to it what it has given up")
	f.Var(&r.since, "since", "from the first event stored within this time, like 1h or 7d")
	f.StringVar(&r.request.ID, "id", "", "from the event with this id or Nats-Msg-Id")
	f.BoolVar(&r.dryRun, "dry-run", false, "only say what would happen")
	f.BoolVar(&r.yes, "yes", false, "do not ask")
	f.BoolVar(&r.asJSON, "json", false, "print one JSON object; needs --yes or --dry-run")
	return cmd
}

func (r *replayCmd) prepare(cmd *cobra.Command, args []string) error {
	r.filter = strings.Join(args, "")
	hasStart := r.filter != "" || r.since > 0 || r.request.ID != ""
	switch {
	case (r.request.Consumer == "") == (r.givenUp == ""):
		return badUsage(cmd, "expected --consumer NAME, or --given-up NAME")
	case r.givenUp != "" && hasStart:
		return badUsage(cmd, "--given-up replays from the first event that the consumer has given up: expected no filter, --since or --id")
	case r.givenUp == "" && !hasStart:
		return badUsage(cmd, "expected where to begin: a filter, --since or --id")
	case r.asJSON && !r.yes && !r.dryRun:
		return badUsage(cmd, "--json: expected --yes or --dry-run too")
	}
	if r.givenUp != "" {
		r.request.Consumer, r.request.GivenUp = r.givenUp, true
	}
	r.request.Since = r.since.before(time.Now())
	return nil
}

func (r *replayCmd) run(cmd *cobra.Command, s *settings.Settings) error {
	ctx, w := cmd.Context(), cmd.OutOrStdout()
	store, err := server.ConsumerStore(s)
	if err != nil {
		return err
	}
	selected, err := store.Config.Select(r.filter)
	if err == nil && selected.Spec != stream.Events {
		err = fmt.Errorf("%q selects no events of stream %s", r.filter, store.Config.Stream)
	}
	if err != nil {
		return err
	}
	r.request.Filters = selected.Filters
	link, _, err := openStream(ctx, store, "postback-gateway replay")
	if err != nil {
		return err
	}
	defer link.NC.Close()
	bar := newProgress(cmd.ErrOrStderr())
	r.request.Progress = bar.update
	plan, err := replay.Prepare(ctx, link, store.Config.Settings, r.request)
	bar.done()
	if err != nil {
		return err
	}
	if r.asJSON {
		if !r.dryRun {
			err = plan.Run(ctx, link)
		}
		return errors.Join(json.NewEncoder(w).Encode(plan), err)
	}
	if err := printPlan(w, plan); err != nil || r.dryRun {
		return err
	}
	return r.confirmed(ctx, cmd, link, plan)
}

// confirmed replays if it may.
func (r *replayCmd) confirmed(ctx context.Context, cmd *cobra.Command, link *natsconn.Link, plan *replay.Plan) error {
	if !r.yes {
		fmt.Fprintf(cmd.OutOrStdout(), "Replay? Type yes: ")
		answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if strings.TrimSpace(answer) != "yes" {
			return errors.New("not replayed: expected yes, or the flag --yes")
		}
	}
	if err := plan.Run(ctx, link); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "Consumer %s receives %d events.\n", plan.Consumer, plan.Events)
	return err
}

func printPlan(w io.Writer, p *replay.Plan) error {
	if len(p.GivenUp) > 0 {
		var t table
		t.add("GIVEN UP", "EVENT", "DELIVERIES", "REASON")
		for _, g := range p.GivenUp {
			t.add(g.At.UTC().Format(lineTime), strconv.FormatUint(g.Sequence, 10), strconv.FormatUint(g.Deliveries, 10), g.Reason)
		}
		if err := t.print(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, wrap(fmt.Sprintf("Consumer %s would receive %d events from event %d on (%s, stored %s), also those that it has acknowledged. Other consumers receive nothing.",
		p.Consumer, p.Events, p.Sequence, p.Subject, p.Stored.UTC().Format(lineTime)), ""))
	return err
}
