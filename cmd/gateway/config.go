package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newConfigCmd() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting: variable, type, default, current value and meaning",
		Long: "Print every setting, with the value that it has now. Secrets are masked. When something\n" +
			"is wrong, the table is followed by everything that is, and the exit status is 2.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if markdown {
				return printMarkdown(cmd.OutOrStdout())
			}
			return printConfig(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the table of docs/configuration.md, without current values")
	return cmd
}

func printConfig(w, warn io.Writer) error {
	s, wrong := loadSettings()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VARIABLE\tTYPE\tDEFAULT\tCURRENT\tMEANING")
	for _, v := range s.variables() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", v.name, v.kind, v.usual(), v.current(), v.meaning)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, warning := range s.warnings() {
		fmt.Fprintf(warn, "gateway: warning: %s\n", warning)
	}
	return wrong
}

// printMarkdown writes the reference of the settings.
func printMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| Variable | Type | Default | Meaning |\n| --- | --- | --- | --- |\n")
	for _, v := range new(settings).variables() {
		standard := ""
		if v.standard != "" {
			standard = "`" + v.standard + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.name, v.kind, standard, strings.ReplaceAll(v.meaning, "|", `\|`))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
