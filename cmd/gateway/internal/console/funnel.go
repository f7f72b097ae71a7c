package console

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/stream"
)

// windows are how far back a view looks; 0 is everything that is stored.
var windows = map[string]time.Duration{"": 0, "1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

// since returns when a window begins. If there is no such window it answers the request.
func since(w http.ResponseWriter, r *http.Request) (begin time.Time, ok bool) {
	window, ok := windows[r.URL.Query().Get("window")]
	if !ok {
		fail(w, http.StatusUnprocessableEntity, "expected the window 1h, 24h or 7d, or none for everything that is stored")
	}
	if window > 0 {
		begin = time.Now().Add(-window)
	}
	return begin, ok
}

// funnel counts how many people went from step to step. It is a scan.
func (c *Console) funnel(w http.ResponseWriter, r *http.Request) {
	begin, ok := since(w, r)
	if !ok {
		return
	}
	given := r.URL.Query()
	q := analytics.FunnelQuery{Steps: given["step"], Account: given.Get("account"), Since: begin, ByReferral: true}
	if within := given.Get("within"); within != "" {
		var err error
		if q.Within, err = time.ParseDuration(within); err != nil || q.Within < 0 {
			fail(w, http.StatusUnprocessableEntity, "expected a time such as 1h: from a person's first step to the last")
			return
		}
	}
	if err := q.Check(); err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	if slices.Contains(q.Steps, "") {
		fail(w, http.StatusUnprocessableEntity, "a step is empty: expected a prefix such as plan, or plan.pro")
		return
	}
	c.scans.serve(c, w, r, func(ctx context.Context, progress analytics.Progress) (any, error) {
		link, err := c.Consumers.Conn.Link()
		if err != nil {
			return nil, err
		}
		funnel, err := analytics.CountFunnel(ctx, link, c.settings(), q, progress)
		if err != nil {
			return nil, err
		}
		for i := range funnel.Referrals {
			if referral := &funnel.Referrals[i].Referral; isPersonal(*referral) {
				*referral = masked(*referral)
			}
		}
		return funnel, nil
	})
}

// settings are those of the streams that consumers read.
func (c *Console) settings() stream.Settings { return c.Consumers.Streams.Settings }
