package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

func newConfigCmd() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting: variable, type, default, current value and meaning",
		Long: "Prints every setting and its current value. Secrets are masked. If something is wrong, all\n" +
			"problems are printed after the table, and the exit status is 2.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if markdown {
				return settings.WriteMarkdown(cmd.OutOrStdout())
			}
			return printConfig(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the table of docs/configuration.md, without current values")
	return cmd
}

func printConfig(w, warn io.Writer) error {
	s, problems := settings.Load()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VARIABLE\tTYPE\tDEFAULT\tCURRENT\tMEANING")
	for _, row := range s.Table() {
		const notSet = "(not set)"
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", row.Name, row.Type, cmp.Or(row.Default, notSet), readable(cmp.Or(row.Current, notSet)), row.Meaning)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, warning := range s.Warnings() {
		fmt.Fprintf(warn, "gateway: warning: %s\n", warning)
	}
	return problems
}
