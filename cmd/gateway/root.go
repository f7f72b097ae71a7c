package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newRootCmd returns the command line. The settings are only in the environment, so that
// there is one way to set each.
func newRootCmd() *cobra.Command {
	serve := newServeCmd()
	root := &cobra.Command{
		Use:   "gateway",
		Short: "Postback webhooks in, NATS JetStream events out",
		Long: "The gateway receives postback webhooks, verifies them and stores each click as an event\n" +
			"in a NATS JetStream stream. Without a command it runs gateway serve.\n\n" +
			"You configure it with environment variables: gateway config lists them.",
		Version:                    buildVersion(),
		Args:                       noArgs,
		RunE:                       serve.RunE,
		SilenceErrors:              true, // printError prints them
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate("gateway {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return badUsage(cmd, "%v", err) })
	// In the order of the manual; help sorts them.
	root.AddCommand(
		serve,
		newDemoCmd(),
		newSendCmd(),
		newTailCmd(),
		newStatsCmd(),
		newFunnelCmd(),
		newUnclaimedCmd(),
		newDoctorCmd(),
		newReplayCmd(),
		newForwardCmd(),
		newForgetCmd(),
		newParseCmd(),
		newConfigCmd(),
		newHealthCmd(),
		newVersionCmd(),
	)
	setHelp(root)
	return root
}

// usageError is a wrong command line: exit status 2.
type usageError struct {
	text    string
	command string // its --help has more
}

// Error implements error.
func (e usageError) Error() string { return e.text + " (see " + e.command + " --help)" }

// badUsage returns a usageError of the command.
func badUsage(cmd *cobra.Command, format string, args ...any) error {
	return usageError{text: fmt.Sprintf(format, args...), command: cmd.CommandPath()}
}

// unknownCommand finds a misspelt command before --help, which would print the help of
// the root command.
func unknownCommand(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err != nil || cmd != root || !slices.Contains(rest, "--help") && !slices.Contains(rest, "-h") {
		return nil // cobra finds it
	}
	for _, arg := range rest {
		if !strings.HasPrefix(arg, "-") && arg != "help" && !strings.HasPrefix(arg, cobra.ShellCompRequestCmd) && arg != "completion" {
			return noArgs(root, []string{arg})
		}
	}
	return nil
}

// noArgs rejects arguments. On the root command an argument is an unknown command, maybe
// a misspelt one.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasParent():
		return badUsage(cmd, "%s takes no arguments, got %q", cmd.Name(), args[0])
	}
	hint := ""
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = ", did you mean " + strings.Join(similar, " or ") + "?"
	}
	return badUsage(cmd, "unknown command %q%s", args[0], hint)
}
