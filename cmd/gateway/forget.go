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

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/erase"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/schema"
)

// forget is what the command is asked for.
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
		Long: "Counts the messages that hold a person's id, and with --yes erases them: events, unclaimed\n" +
			"events, and dead letters with the id in their body. A person is named as in an event's\n" +
			"partitionkey; every id of data.user finds the person.\n\n" +
			"It connects as gateway tail does, and with GATEWAY_RELAY=true erases on this machine and\n" +
			"in the cluster. There it needs a user who may delete, which the gateway's own should not\n" +
			"be. What consumers have made of the events, logs and backups are not touched.",
		Example: "  gateway forget messenger:682498171943165:1254459154682919\n" +
			"  gateway forget --yes messenger:682498171943165:1254459154682919\n" +
			"  gateway forget --platform whatsapp --user 16505551234    # to every phone number of yours",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.prepare(cmd, args); err != nil {
				return err
			}
			s, err := loadSome(append([]string{"RELAY"}, natsSettings...)...)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), &s, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.yes, "yes", false, "erase what is found; without it the messages are only counted")
	flags.StringVar(&f.platform, "platform", "", "with --user: the platform, "+platformsHelp())
	flags.StringVar(&f.user, "user", "", "the person's id, on every account of the platform")
	return cmd
}

// prepare finds out whom the command line names.
func (f *forget) prepare(cmd *cobra.Command, args []string) error {
	for _, key := range args {
		parts := strings.SplitN(key, ":", 3)
		if len(parts) < 3 || slices.Contains(parts, "") {
			return badUsage(cmd, "%q names nobody: expected PLATFORM:ACCOUNT:USER, an event's partitionkey", key)
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

// wrongPerson says why nobody in particular is meant; empty where somebody is.
func wrongPerson(p erase.Person) string {
	known := []string{schema.Messenger, schema.Instagram, schema.WhatsApp, schema.Telegram}
	if !slices.Contains(known, p.Platform) {
		return fmt.Sprintf("platform %q is unknown: expected one of %s", p.Platform, strings.Join(known, ", "))
	}
	return ""
}

// store is a server that can hold events.
type store struct {
	name string
	cfg  publish.Config
}

// stores are those of the settings, in the order in which events get there.
func (s *settings) stores() ([]store, error) {
	var all []store
	if s.embedded() {
		local, err := s.localReader()
		if err != nil {
			return nil, err
		}
		all = append(all, store{"embedded", local})
	}
	if len(s.NATSURL) > 0 {
		all = append(all, store{"cluster", s.clusterConfig()})
	}
	return all, nil
}

func (f *forget) run(ctx context.Context, s *settings, w, note io.Writer) error {
	stores, err := s.stores()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STORE\tSTREAM\tMESSAGES")
	total, others := 0, []string{}
	for _, one := range stores {
		held, failed := f.in(ctx, one)
		for _, h := range held {
			fmt.Fprintf(t, "%s\t%s\t%s\n", one.name, h.Stream, amount(h))
			total += h.Messages
			others = append(others, h.Others...)
		}
		if failed != nil {
			err = failed
			break // what is erased there later could come here again
		}
	}
	if err := errors.Join(err, t.Flush()); err != nil {
		return err
	}
	f.remark(note, total, others)
	s.remarkStore(note)
	return nil
}

// in forgets everybody in one store. What it returns has a row for each stream.
func (f *forget) in(ctx context.Context, one store) ([]erase.Result, error) {
	link, err := natsconn.Dial(one.cfg.Config, "postback-gateway forget")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", one.name, explain(err, one.cfg))
	}
	defer link.NC.Close()
	held, err := erase.Run(ctx, link, one.cfg.Settings, erase.Request{People: f.people, Erase: f.yes})
	if err != nil {
		return held, fmt.Errorf("%s: %w", one.name, explain(err, one.cfg))
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

// remark says what the numbers mean, and what is left to do.
func (f *forget) remark(w io.Writer, total int, others []string) {
	slices.Sort(others)
	for _, key := range slices.Compact(others) {
		if !f.names(key) {
			fmt.Fprintf(w, "these events also call the person %s: events that know only that id are not counted\n", key)
		}
	}
	switch {
	case total == 0:
		fmt.Fprintln(w, "nothing is stored of whom you named")
	case f.yes:
		fmt.Fprintln(w, "erased; what consumers have made of the events, logs and backups are not touched")
	default:
		fmt.Fprintln(w, "nothing is erased yet: run it again with --yes")
	}
}

// remarkStore tells of events on this machine that the settings do not lead to.
func (s *settings) remarkStore(w io.Writer) {
	dir := embedded.StoreDir(s.DataDir)
	if _, err := os.Stat(dir); s.embedded() || err != nil {
		return
	}
	fmt.Fprintf(w, "this machine's data directory %s still holds a store, which was not looked into: run a gateway on it with GATEWAY_RELAY=true or "+
		"without GATEWAY_NATS_URL, and this command with the same settings; or delete %s where nothing in it is needed\n", s.DataDir, dir)
}

// names tells whether the command line has this id too.
func (f *forget) names(key string) bool {
	return slices.ContainsFunc(f.people, func(p erase.Person) bool {
		parts := strings.SplitN(key, ":", 3)
		return p.Platform == parts[0] && (p.Account == "" || p.Account == parts[1]) && p.User == parts[2]
	})
}
