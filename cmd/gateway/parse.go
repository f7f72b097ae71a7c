package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/schema"
)

func newParseCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "parse PAYLOAD...",
		Short: "Show how a payload is parsed and which subject it is published to",
		Long: "Shows the parts of each payload as they are in the event, and a filter for the subject, with\n" +
			"* for the platform, the account and a partition. Put -- before a payload that begins with a dash.",
		Example: "  gateway parse plan:enterprise 'order:{\"id\":7}'",
		Args:    somePayloads,
		RunE: func(cmd *cobra.Command, payloads []string) error {
			s, err := settings.LoadOnly("GATEWAY_SUBJECT_ROOT", "GATEWAY_PARTITIONS")
			if err != nil {
				return err
			}
			return printParsed(cmd.OutOrStdout(), &s, payloads, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func somePayloads(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return badUsage(cmd, "parse takes at least one payload")
	}
	return nil
}

// parsed is a payload with the filter that matches its subject.
type parsed struct {
	schema.Payload
	Subject string `json:"subject"`
}

func printParsed(w io.Writer, s *settings.Settings, payloads []string, asJSON bool) error {
	for i, raw := range payloads {
		payload, route := schema.ParsePayload(raw)
		filter := schema.Tokens{Prefix: route.Prefix, Action: route.Action}
		if s.Partitions > 0 {
			filter.Partition = "*"
		}
		p := parsed{payload, filter.Filters(s.SubjectRoot)[0]}
		if err := p.print(w, i == 0, asJSON); err != nil {
			return err
		}
	}
	return nil
}

func (p parsed) print(w io.Writer, first, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		return out.Encode(p)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if !first {
		fmt.Fprintln(t)
	}
	fmt.Fprintf(t, "payload\t%s\nprefix\t%s\naction\t%s\n", readable(p.Raw), readable(p.Prefix), readable(p.Action))
	fmt.Fprintf(t, "rest\t%s\nparams\t%s\nsubject\t%s\n", joinRest(p.Rest), readable(string(p.Params)), p.Subject)
	return t.Flush()
}

func joinRest(rest []string) string {
	shown := make([]string, len(rest))
	for i, part := range rest {
		shown[i] = readable(part)
	}
	if len(shown) == 0 {
		return readable("")
	}
	return strings.Join(shown, " ")
}

// readable quotes text that is not clear on a terminal or in a table, and shows an empty
// text as (none).
func readable(text string) string {
	switch {
	case text == "":
		return "(none)"
	case strings.TrimSpace(text) != text, strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }):
		return strconv.Quote(text)
	default:
		return text
	}
}
