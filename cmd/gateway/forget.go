package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/erase"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/schema"
)

// forget are the options of the command.
type forget struct {
	people         []erase.Person
	platform, user string
	yes            bool
}

func newForgetCmd() *cobra.Command {
	var f forget
	cmd := &cobra.Command{
		Use:   "forget [PLATFORM:ACCOUNT:USER...]",
		Short: "Erase one person's events",
		Long: "Counts the messages that contain a person's id, and erases them with --yes: events, unclaimed\n" +
			"events, and dead letters with the id in their body. Name the person as in an event's\n" +
			"partitionkey; you can use any id of data.user.\n\n" +
			"It connects as gateway tail does; with GATEWAY_RELAY=true it erases on this machine and in\n" +
			"the cluster. There it needs a NATS user that may delete, which the gateway's own user should\n" +
			"not be. Copies that consumers made, logs and backups are not erased.",
		Example: "  gateway forget messenger:682498171943165:1254459154682919\n" +
			"  gateway forget --yes messenger:682498171943165:1254459154682919\n" +
			"  gateway forget --platform whatsapp --user 16505551234  # any account",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.prepare(cmd, args); err != nil {
				return err
			}
			s, err := settings.LoadOnly(append(storeSettings, "GATEWAY_RELAY")...)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), &s, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.yes, "yes", false, "erase the messages; without it they are only counted")
	flags.StringVar(&f.platform, "platform", "", "with --user: the platform, "+platformsHelp())
	flags.StringVar(&f.user, "user", "", "the person's id, on every account of the platform")
	return cmd
}

// prepare reads the people from the command line.
func (f *forget) prepare(cmd *cobra.Command, args []string) error {
	for _, key := range args {
		parts := strings.SplitN(key, ":", 3)
		if len(parts) < 3 || slices.Contains(parts, "") {
			return badUsage(cmd, "%q does not name a person: expected PLATFORM:ACCOUNT:USER, an event's partitionkey", key)
		}
		f.people = append(f.people, erase.Person{Platform: parts[0], Account: parts[1], User: parts[2]})
	}
	if f.platform != "" || f.user != "" {
		if f.platform == "" || f.user == "" {
			return badUsage(cmd, "expected --platform and --user together")
		}
		f.people = append(f.people, erase.Person{Platform: f.platform, User: f.user})
	}
	if len(f.people) == 0 {
		return badUsage(cmd, "forget takes at least one PLATFORM:ACCOUNT:USER, or --platform and --user")
	}
	for _, person := range f.people {
		if wrong := wrongPerson(person); wrong != "" {
			return badUsage(cmd, "%s", wrong)
		}
	}
	return nil
}

// wrongPerson says what is wrong with a person; empty if nothing is.
func wrongPerson(p erase.Person) string {
	known := schema.PlatformNames()
	if !slices.Contains(known, p.Platform) {
		return fmt.Sprintf("platform %q is unknown: expected one of %s", p.Platform, strings.Join(known, ", "))
	}
	return ""
}

func (f *forget) run(ctx context.Context, s *settings.Settings, w, note io.Writer) error {
	stores, err := server.Stores(s)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STORE\tSTREAM\tMESSAGES")
	total, others := 0, []string{}
	for _, store := range stores {
		held, failed := f.eraseIn(ctx, store)
		for _, h := range held {
			fmt.Fprintf(t, "%s\t%s\t%s\n", store.Name, h.Stream, amount(h))
			total += h.Messages
			others = append(others, h.Others...)
		}
		if failed != nil {
			err = failed
			break // what is erased there later could be relayed again
		}
	}
	if err := errors.Join(err, t.Flush()); err != nil {
		return err
	}
	f.printResult(note, total, others)
	printUnusedStore(note, s)
	return nil
}

// eraseIn counts or erases the messages in one store. It returns a row for each stream.
func (f *forget) eraseIn(ctx context.Context, store server.Store) ([]erase.Result, error) {
	link, err := natsconn.Dial(store.Config.Config, "postback-gateway forget")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.Name, store.Explain(err))
	}
	defer link.NC.Close()
	held, err := erase.Run(ctx, link, store.Config.Settings, erase.Request{People: f.people, Erase: f.yes})
	if err != nil {
		return held, fmt.Errorf("%s: %w", store.Name, store.Explain(err))
	}
	return held, nil
}

func amount(h erase.Result) string {
	switch {
	case h.Missing:
		return "no such stream"
	case h.Incomplete && h.Messages == 0:
		return "?"
	case h.Incomplete:
		return fmt.Sprintf("%d or more", h.Messages)
	default:
		return fmt.Sprint(h.Messages)
	}
}

// printResult says what the numbers mean and what is left to do.
func (f *forget) printResult(w io.Writer, total int, others []string) {
	slices.Sort(others)
	for _, key := range slices.Compact(others) {
		if !f.names(key) {
			fmt.Fprintf(w, "these events also have the id %s of the person: events with only that id are not counted\n", key)
		}
	}
	switch {
	case total == 0:
		fmt.Fprintln(w, "nothing is stored about the people that you named")
	case f.yes:
		fmt.Fprintln(w, "erased; copies that consumers made, logs and backups are not erased")
	default:
		fmt.Fprintln(w, "nothing is erased yet: run the command again with --yes")
	}
}

// printUnusedStore warns of events on this machine that the settings do not lead to.
func printUnusedStore(w io.Writer, s *settings.Settings) {
	dir := embedded.StoreDir(s.DataDir)
	if _, err := os.Stat(dir); s.RunsNATS() || err != nil {
		return
	}
	fmt.Fprintf(w, "the data directory %s on this machine still has a store, which was not searched: run a gateway on it with GATEWAY_RELAY=true or "+
		"without GATEWAY_NATS_URL, and this command with the same settings; or delete %s if you do not need it\n", s.DataDir, dir)
}

// names reports whether the command line has this id.
func (f *forget) names(key string) bool {
	return slices.ContainsFunc(f.people, func(p erase.Person) bool {
		parts := strings.SplitN(key, ":", 3)
		return p.Platform == parts[0] && (p.Account == "" || p.Account == parts[1]) && p.User == parts[2]
	})
}
