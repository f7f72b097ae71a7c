package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/logging"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/replay"
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
		Short: "Replay events to a consumer, or dead letters",
		Long: "  gateway replay --consumer billing --since 1h\n  gateway replay --given-up billing --dry-run\n  gateway replay 'deadletter.>'\n\n" +
			"With --consumer or --given-up it resets a durable consumer to the first event that matches. It\n" +
			"receives all events of its filters from there on again, also those that it has acknowledged.\n" +
			"The server cannot deliver one event alone again. The ids are the same, so a program that acts\n" +
			"once for each id does nothing twice. Nothing is published, and other consumers receive nothing.\n" +
			"The command needs no running gateway, so it writes the log line itself, to stderr.\n\n" +
			"With a filter of dead letters a running gateway (GATEWAY_ADMIN_LISTEN) parses them again, after\n" +
			"you have repaired the cause. What is an event now is stored with the id that it would have had;\n" +
			"what is stored already is not stored again. Deliveries that were not forwarded are posted to\n" +
			"the existing bot again. What succeeds is removed from the dead letters.\n\n" +
			"Without --yes or --dry-run the command says what it would do and asks.\n\n" +
			"With GATEWAY_RELAY consumers and dead letters are in the cluster; ask the gateway that relays\n" +
			"to replay dead letters.",
		Example: "  gateway replay --consumer billing plan:pro --since 2d\n  gateway replay --consumer billing --id m_AbCdEf\n  gateway replay --given-up billing --yes\n" +
			"  gateway replay 'deadletter.*.*.messenger.malformed_item' --since 1d",
		Args: oneFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.prepare(cmd, args); err != nil {
				return err
			}
			s, err := settings.LoadOnly(append(storeSettings, "GATEWAY_ADMIN_*", "GATEWAY_LOG_*")...)
			if err != nil {
				return err
			}
			if r.isDeadLetters() {
				return r.runDeadLetters(cmd, &s)
			}
			return r.run(cmd, &s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.request.Consumer, "consumer", "", "the durable consumer that receives the events")
	f.StringVar(&r.givenUp, "given-up", "", "a consumer: replay to it what it has given up")
	f.Var(&r.since, "since", "from the first event or dead letter stored within this time, like 1h or 7d")
	f.StringVar(&r.request.ID, "id", "", "from the event with this id or Nats-Msg-Id on, with all later ones; of dead letters only the one with it, or with this sha256")
	f.BoolVar(&r.dryRun, "dry-run", false, "only say what would happen")
	f.BoolVar(&r.yes, "yes", false, "do not ask")
	f.BoolVar(&r.asJSON, "json", false, "print one JSON object; needs --yes or --dry-run")
	return cmd
}

func (r *replayCmd) prepare(cmd *cobra.Command, args []string) error {
	r.filter = strings.Join(args, "")
	hasStart := r.filter != "" || r.since > 0 || r.request.ID != ""
	switch {
	case r.isDeadLetters() && r.request.Consumer+r.givenUp != "":
		return badUsage(cmd, "dead letters are not replayed to a consumer: expected no --consumer and no --given-up")
	case r.asJSON && !r.yes && !r.dryRun:
		return badUsage(cmd, "--json: expected --yes or --dry-run too")
	case r.isDeadLetters():
		return nil
	case (r.request.Consumer == "") == (r.givenUp == ""):
		return badUsage(cmd, "expected --consumer NAME, --given-up NAME, or a filter of dead letters such as 'deadletter.>'")
	case r.givenUp != "" && hasStart:
		return badUsage(cmd, "--given-up replays from the first event that the consumer has given up: expected no filter, --since or --id")
	case r.givenUp == "" && !hasStart:
		return badUsage(cmd, "expected where to begin: a filter, --since or --id")
	}
	if r.givenUp != "" {
		r.request.Consumer, r.request.GivenUp = r.givenUp, true
	}
	r.request.Since = r.since.before(time.Now())
	return nil
}

func (r *replayCmd) run(cmd *cobra.Command, s *settings.Settings) error {
	ctx, w := cmd.Context(), cmd.OutOrStdout()
	events, err := openEvents(ctx, s, "replay", r.filter)
	if err != nil {
		return err
	}
	defer events.close()
	r.request.Filters = events.Filters
	bar := newProgress(cmd.ErrOrStderr())
	r.request.Progress = bar.update
	plan, err := replay.Prepare(ctx, events.link, events.Settings, r.request)
	bar.done()
	if err != nil {
		return err
	}
	if r.asJSON {
		if !r.dryRun {
			err = plan.Run(ctx, events.link, replayLog(cmd, s))
		}
		return errors.Join(json.NewEncoder(w).Encode(plan), err)
	}
	if err := printPlan(w, plan); err != nil || r.dryRun {
		return err
	}
	if err := r.confirm(cmd); err != nil {
		return err
	}
	if err := plan.Run(ctx, events.link, replayLog(cmd, s)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "Consumer %s receives %d events.\n", plan.Consumer, plan.Events)
	return err
}

// replayLog writes the line that a gateway logs about a replay, with who runs the command.
func replayLog(cmd *cobra.Command, s *settings.Settings) *slog.Logger {
	who := strconv.Itoa(os.Getuid()) // in a container the user may have no name
	if account, err := user.Current(); err == nil {
		who = account.Username
	}
	return logging.New(cmd.ErrOrStderr(), logging.Options{Level: "info", Format: s.LogFormat}).With("user", who)
}

// confirm asks, unless the flag has answered.
func (r *replayCmd) confirm(cmd *cobra.Command) error {
	if r.yes {
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Replay? Type yes: ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("not replayed: expected yes, or the flag --yes")
	}
	return nil
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
