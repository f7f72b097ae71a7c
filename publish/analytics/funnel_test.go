package analytics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/analytics"
)

func TestFunnel(t *testing.T) {
	link, cfg := store(t,
		press("all", "start", 0), press("all", "plan:pro", 10), press("all", "pay", 11),
		press("twice", "start", 0), press("twice", "start", 5), press("twice", "plan:free", 9), press("twice", "plan:pro", 15), press("twice", "pay", 50),
		press("only", "start", 1),
		press("wrong order", "pay", 0), press("wrong order", "plan:pro", 1), press("wrong order", "start", 2),
		press("skips", "start", 3), press("skips", "pay", 4),
	)
	for _, test := range []struct {
		steps  string
		within time.Duration
		want   string
	}{
		{"start plan pay", 0, "5 0s, 2 4m0s, 2 1m0s"},
		{"start plan pay", 20 * time.Minute, "5 0s, 2 4m0s, 1 1m0s"},
		{"start plan:pro", 0, "5 0s, 2 10m0s"},
		{"start start", 0, "5 0s, 1 5m0s"},
		{"plan plan.pro", 0, "3 0s, 1 6m0s"},
		{"nothing pay", 0, "0 0s, 0 0s"},
	} {
		q := analytics.FunnelQuery{Steps: strings.Fields(test.steps), Within: test.within}
		funnel, err := analytics.CountFunnel(t.Context(), link, cfg, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range funnel.Steps {
			got = append(got, fmt.Sprint(s.People, " ", s.Median.Round(20*time.Second)))
		}
		if strings.Join(got, ", ") != test.want || funnel.SampleOf != 1 {
			t.Errorf("%s within %s: %s, want %s", test.steps, test.within, got, test.want)
		}
	}
	q := analytics.FunnelQuery{Steps: []string{"start", "pay"}, Account: "18"}
	if funnel, err := analytics.CountFunnel(t.Context(), link, cfg, q, nil); err != nil || funnel.Steps[0].People != 0 {
		t.Errorf("another account: %+v, %v", funnel, err)
	}
	if _, err := analytics.CountFunnel(t.Context(), link, cfg, analytics.FunnelQuery{Steps: []string{"start"}}, nil); err == nil || !strings.Contains(err.Error(), "2 to 8 steps") {
		t.Errorf("one step: %v", err)
	}
}
