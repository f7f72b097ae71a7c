package analytics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/schema"
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

// TestFunnelByReferral: a person counts for the referral with which they came last before
// the first step, or at it.
func TestFunnelByReferral(t *testing.T) {
	referred := func(user, ref string, minute int) schema.Item {
		at := time.Date(2026, 11, 28, 12, minute, 0, 0, time.UTC)
		e, err := schema.New(fmt.Sprint("r", user, ref, minute), at, schema.Data{
			Platform: schema.Messenger, Account: schema.Account{ID: "17"}, User: schema.User{ID: user},
			Kind: schema.KindReferral, Channel: schema.ChannelPrimary, Referral: &schema.Referral{Ref: ref}, ReceivedAt: at,
		})
		if err != nil {
			t.Fatal(err)
		}
		return schema.Item{Event: e, Route: schema.RouteReferral(ref)}
	}
	withReferral := press("ads", "start", 1)
	withReferral.Event.Data.Referral = &schema.Referral{Source: "ADS"}
	items := []schema.Item{
		referred("spring", "winter", 0), referred("spring", "spring", 1), press("spring", "start", 2), press("spring", "pay", 3), referred("spring", "late", 4),
		referred("lurker", "spring", 0), withReferral, press("plain", "start", 2), press("plain", "pay", 3), press("other", "start", 4),
	}
	for i := range analytics.MaxReferrals + 5 {
		user := fmt.Sprint("many", i)
		items = append(items, referred(user, fmt.Sprint("ref", i), 5), press(user, "start", 6))
	}
	link, cfg := store(t, items...)
	funnel, err := analytics.CountFunnel(t.Context(), link, cfg, analytics.FunnelQuery{Steps: []string{"start", "pay"}, ByReferral: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, r := range funnel.Referrals {
		got[r.Referral] = fmt.Sprint(r.People)
	}
	want := map[string]string{"": "[2 1]", "spring": "[1 1]", "ADS": "[1 0]", analytics.OtherReferrals: "[8 0]", "ref0": "[1 0]"}
	for referral, people := range want {
		if got[referral] != people {
			t.Errorf("%q: %s, want %s of %v", referral, got[referral], people, got)
		}
	}
	if funnel.Steps[0].People != 59 || funnel.Steps[1].People != 2 {
		t.Errorf("%+v", funnel.Steps)
	}
}
