package console

import (
	"context"
	"net/http"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/publish/monitor"
)

// consumerRow is a durable consumer, what is wrong with it, and what it has given up.
type consumerRow struct {
	monitor.ConsumerState
	GivenUp  uint64           `json:"given_up"`
	Findings []doctor.Finding `json:"findings"`
}

// consumerList answers with all durable consumers, and the subjects that none asks for.
func (c *Console) consumerList(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), reportTimeout)
	defer cancel()
	states, err := c.Consumers.ConsumerStates(ctx)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "the consumers cannot be read: "+err.Error())
		return
	}
	// The counts of what is given up are in a stream that may be missing.
	givenUp, _ := c.Consumers.GivenUpCounts(ctx)
	report := c.reports.get(ctx, c)
	rows := make([]consumerRow, len(states))
	for i, state := range states {
		rows[i] = consumerRow{state, givenUp[state.Name], []doctor.Finding{}}
		if report != nil {
			rows[i].Findings = append(rows[i].Findings, about(report, state.Name)...)
		}
	}
	unclaimed := []monitor.UnclaimedSubject{}
	if report != nil {
		unclaimed = append(unclaimed, report.Unclaimed...)
	}
	respond(w, map[string]any{"consumers": rows, "unclaimed": unclaimed})
}

// about returns the findings about a consumer.
func about(report *doctor.Report, consumer string) (found []doctor.Finding) {
	for _, f := range report.Findings {
		if f.About == consumer && (f.Code == doctor.CodeStuck || f.Code == doctor.CodeGivenUp) {
			found = append(found, f)
		}
	}
	return found
}
