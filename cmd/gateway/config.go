package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

func newConfigCmd() *cobra.Command {
	var markdown, changed bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting with its current value and meaning",
		Long: "  gateway config\n  gateway config --changed\n\n" +
			"Prints every setting and its current value. Secrets are masked. If something is wrong, all\n" +
			"problems are printed after the settings, and the exit status is 2.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if markdown {
				return settings.WriteMarkdown(cmd.OutOrStdout())
			}
			return printConfig(cmd.OutOrStdout(), cmd.ErrOrStderr(), changed)
		},
	}
	cmd.Flags().BoolVar(&changed, "changed", false, "only settings that are not at their defaults")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the table of docs/configuration.md, without current values")
	return cmd
}

func printConfig(w, warn io.Writer, changed bool) error {
	s, problems := settings.Load()
	for _, row := range s.Table() {
		if changed && row.Current == row.Default {
			continue
		}
		const notSet = "(not set)"
		_, err := fmt.Fprintf(w, "%s\n  current  %s\n  default  %s\n  type     %s\n%s\n\n",
			row.Name, readable(cmp.Or(row.Current, notSet)), cmp.Or(row.Default, notSet), row.Type, wrap(row.Meaning, "  "))
		if err != nil {
			return err
		}
	}
	printWarnings(warn, &s)
	return problems
}

// loadSettings reads all settings. With an error it prints the warnings too: a misspelt
// variable can be the reason.
func loadSettings(warn io.Writer) (settings.Settings, error) {
	s, err := settings.Load()
	if err != nil {
		printWarnings(warn, &s)
	}
	return s, err
}

func printWarnings(w io.Writer, s *settings.Settings) {
	for _, warning := range s.Warnings() {
		fmt.Fprintf(w, "gateway: warning: %s\n", warning)
	}
}
