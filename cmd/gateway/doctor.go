package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

func newDoctorCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong between a page and its consumers",
		Long: "  gateway doctor\n\n" +
			"Asks a running gateway (GATEWAY_ADMIN_LISTEN, and GATEWAY_ADMIN_TOKEN if it has one) why\n" +
			"nothing arrives: at its webhooks, in its store, or at its consumers. Each finding says what\n" +
			"to do. The exit status is 1 if there is a problem; notes do not count.\n\n" +
			"With GATEWAY_RELAY the store is that of this machine; consumers and unclaimed subjects are\n" +
			"those of the cluster. Several gateways on a cluster: each knows what it has received itself.",
		Example: "  gateway doctor\n  gateway doctor --json | jq -r '.findings[].code'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settings.LoadOnly("GATEWAY_ADMIN_*")
			if err != nil {
				return err
			}
			return runDoctor(cmd.Context(), &s, asJSON, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole report as one JSON object")
	return cmd
}

func runDoctor(ctx context.Context, s *settings.Settings, asJSON bool, w io.Writer) error {
	text, err := askGateway(ctx, s, http.MethodGet, "/api/status", nil)
	if err != nil {
		return err
	}
	var report doctor.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("the response is not a report of this version of the gateway: %w", err)
	}
	if asJSON {
		_, err = fmt.Fprintf(w, "%s\n", oneLine(text))
	} else {
		err = printReport(w, &report)
	}
	if err == nil && report.HasProblem() {
		return errProblems
	}
	return err
}

var errProblems = errors.New("something is wrong, see the findings")

func printReport(w io.Writer, r *doctor.Report) error {
	state := "is ready"
	if !r.Ready {
		state = "is NOT READY"
	}
	fmt.Fprintf(w, "The gateway %s. It was started %s ago and holds %d events.\n\n", state, r.Now.Sub(r.Received.Since).Round(time.Second), r.Store.Events)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s  %s\n%s\n%s\n\n", strings.ToUpper(string(f.Level)), f.About,
			wrap(f.Text, "  "), wrap("To do: "+f.Do, "  "))
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, "Nothing is wrong.")
		fmt.Fprintln(w)
	}
	return printReceived(w, r)
}

func printReceived(w io.Writer, r *doctor.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WEBHOOK\tHANDSHAKE\tLAST DELIVERY\tLAST REJECTION")
	for _, hook := range r.Received.Webhooks {
		name := strings.TrimSuffix(hook.Webhook+"/"+hook.Account, "/")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", name, since(r.Now, hook.Handshake), since(r.Now, hook.Delivery), since(r.Now, hook.Rejection, hook.Reason))
	}
	if len(r.Rejections) > 0 {
		fmt.Fprintln(t, "\nREJECTED IN 5 MINUTES\tREASON\tREQUESTS\tLAST")
	}
	for _, j := range r.Rejections {
		name := strings.TrimSuffix(j.Handler+"/"+j.Account, "/")
		fmt.Fprintf(t, "%s\t%d %s\t%d\t%s\n", readable(name), j.Status, j.Reason, j.Count, since(r.Now, j.Last))
	}
	if len(r.Received.Accounts) > 0 {
		fmt.Fprintln(t, "\nACCOUNT\tLAST EVENT\tLAST ON STANDBY")
	}
	for _, a := range r.Received.Accounts {
		fmt.Fprintf(t, "%s %s\t%s\t%s\n", a.Platform, readable(a.Account), since(r.Now, a.Primary), since(r.Now, a.Standby))
	}
	if len(r.Consumers) > 0 {
		fmt.Fprintln(t, "\nCONSUMER\tTO ACKNOWLEDGE\tREDELIVERED\tLAST ACK")
	}
	for _, c := range r.Consumers {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\n", readable(c.Name), c.Pending, c.Redelivered, since(r.Now, c.LastAck))
	}
	return t.Flush()
}

// since is a time for a table: how long ago, and a word about it.
func since(now, t time.Time, about ...string) string {
	if t.IsZero() {
		return "-"
	}
	return strings.TrimSpace(max(0, now.Sub(t)).Round(time.Second).String() + " " + strings.Join(about, " "))
}

// lineWidth is the width of a terminal that every output fits.
const lineWidth = 80

// wrap breaks text into lines with an indent. A longer word has a line of its own.
func wrap(text, indent string) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len(line)+1+len(word) > lineWidth {
			lines, line = append(lines, indent+line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, indent+line), "\n")
}
