package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/schema"
)

// isDeadLetters reports whether the filter is one of dead letters.
func (r *replayCmd) isDeadLetters() bool {
	return strings.HasPrefix(r.filter, schema.DeadLetterRoot)
}

// replayed are all batches together.
type replayed struct {
	DryRun  bool                     `json:"dry_run"`
	Counts  map[replay.Result]uint64 `json:"counts"`
	Letters []replay.Letter          `json:"dead_letters"` // the first ones
	More    uint64                   `json:"more"`         // that are not listed
}

// Of all dead letters, so many are listed: for a reader, and in JSON.
const (
	shownLetters  = 20
	listedLetters = 1000
)

func (r *replayCmd) runDeadLetters(cmd *cobra.Command, s *settings.Settings) error {
	ctx, w := cmd.Context(), cmd.OutOrStdout()
	plan, err := r.askBatches(ctx, cmd, s, r.dryRun || !r.yes)
	if err == nil && len(plan.Counts) == 0 {
		err = fmt.Errorf("no dead letter matches %q: nothing to replay", r.filter)
	}
	if err != nil {
		return err
	}
	if r.asJSON {
		return json.NewEncoder(w).Encode(plan)
	}
	if err := plan.print(w); err != nil || r.dryRun || r.yes {
		return err
	}
	if err := r.confirm(cmd); err != nil {
		return err
	}
	done, err := r.askBatches(ctx, cmd, s, false)
	if err != nil {
		return err
	}
	return done.print(w)
}

// askBatches has the gateway replay one batch after the other.
func (r *replayCmd) askBatches(ctx context.Context, cmd *cobra.Command, s *settings.Settings, dryRun bool) (*replayed, error) {
	all := &replayed{DryRun: dryRun, Counts: make(map[replay.Result]uint64), Letters: []replay.Letter{}}
	bar := newProgress(cmd.ErrOrStderr())
	defer bar.done()
	ask := map[string]any{"filters": []string{r.filter}, "id": r.request.ID, "dry_run": dryRun, "reveal": true}
	if !r.request.Since.IsZero() {
		ask["since"] = r.request.Since
	}
	for n := uint64(0); ; {
		text, err := askGateway(ctx, s, http.MethodPost, "/api/fix/dead-letters", ask)
		if err != nil {
			return nil, err
		}
		var batch replay.Batch
		if err := json.Unmarshal(text, &batch); err != nil {
			return nil, fmt.Errorf("the response is not that of this version of the gateway: %w", err)
		}
		all.add(batch.Letters)
		if batch.Next == 0 {
			return all, nil
		}
		n += uint64(len(batch.Letters))
		bar.update(n, n+batch.Left)
		ask["from"] = batch.Next
	}
}

func (a *replayed) add(letters []replay.Letter) {
	for _, l := range letters {
		a.Counts[l.Result]++
		if len(a.Letters) < listedLetters {
			a.Letters = append(a.Letters, l)
		} else {
			a.More++
		}
	}
}

// results are the results in words: when it is done, and before.
var results = []struct {
	result      replay.Result
	done, would string
}{
	{replay.Stored, "stored as events", "would be stored as events"},
	{replay.Duplicate, "had been stored before", "have been stored before and would be removed"},
	{replay.Forwarded, "wait to be posted to the existing bot", "would be posted to the existing bot"},
	{replay.StillInvalid, "are malformed still: kept", "are malformed still and would be kept"},
	{replay.NoEvent, "have no event in them: kept", "have no event in them and would be kept"},
	{replay.Unusable, "cannot be replayed: kept", "cannot be replayed and would be kept"},
}

func (a *replayed) print(w io.Writer) error {
	var t table
	t.add("DEAD LETTER", "REASON", "RESULT", "SUBJECT, OR WHY NOT")
	for _, l := range a.Letters[:min(len(a.Letters), shownLetters)] {
		what := l.Detail
		if len(l.Events) > 0 {
			what = cmp.Or(what, l.Events[0].Subject)
		}
		t.add(strconv.FormatUint(l.Sequence, 10), string(l.Reason), string(l.Result), what)
	}
	if err := t.print(w); err != nil {
		return err
	}
	if n := a.More + uint64(max(0, len(a.Letters)-shownLetters)); n > 0 {
		fmt.Fprintf(w, "and %d more\n", n)
	}
	fmt.Fprintln(w)
	for _, r := range results {
		text := r.done
		if a.DryRun {
			text = r.would
		}
		if n := a.Counts[r.result]; n > 0 {
			fmt.Fprintf(w, "%d %s\n", n, text)
		}
	}
	return nil
}
