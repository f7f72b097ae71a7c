package analytics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// store opens an embedded store with these events, on subjects with and without partitions.
func store(t *testing.T, items ...schema.Item) (*natsconn.Link, stream.Settings) {
	t.Helper()
	cfg := publishtest.EmbeddedConfig(t)
	publishtest.PublishPartitioned(t, cfg, items...)
	js := natstest.JetStream(t, "", publishtest.InProcess(cfg))
	return &natsconn.Link{NC: js.Conn(), JS: js}, cfg.Settings
}

// press is a click by somebody, at a minute.
func press(user, payload string, minute int) schema.Item {
	parsed, route := schema.ParsePayload(payload)
	at := time.Date(2026, 11, 28, 12, minute, 0, 0, time.UTC)
	e, err := schema.New(fmt.Sprint(user, payload, minute), at, schema.Data{
		Platform: schema.Messenger, Account: schema.Account{ID: "17"}, User: schema.User{ID: user},
		Kind: schema.KindButton, Channel: schema.ChannelPrimary, Payload: &parsed, ReceivedAt: at,
	})
	if err != nil {
		panic(err)
	}
	return schema.Item{Event: e, Route: route}
}

func TestCountEvents(t *testing.T) {
	link, cfg := store(t, press("a", "plan:pro", 1), press("b", "plan:pro", 2), press("a", "plan:free", 3), press("a", "rate:5", 4))
	for _, test := range []struct {
		filter string
		by     []string
		want   string
	}{
		{"", []string{"prefix", "action"}, "plan.pro 2, plan.free 1, rate.5 1 of 4"},
		{"", []string{"prefix"}, "plan. 3, rate. 1 of 4"},
		{"plan", []string{"action"}, ".pro 2, .free 1 of 3"},
		{"plan:pro", []string{"prefix"}, "plan. 2 of 2"},
		{"nothing", []string{"prefix"}, " of 0"},
	} {
		selected, err := cfg.Select(test.filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, since := range []time.Time{{}, time.Now().Add(-time.Hour)} {
			var done, total uint64
			counts, err := analytics.CountEvents(t.Context(), link, cfg, analytics.Query{Filters: selected.Filters, By: test.by, Since: since},
				func(d, of uint64) { done, total = d, of })
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range counts.Groups {
				got = append(got, fmt.Sprintf("%s.%s %d", c.Prefix, c.Action, c.Events))
			}
			if text := fmt.Sprintf("%s of %d", strings.Join(got, ", "), counts.Total); strings.ReplaceAll(text, ". ", ". ") != test.want {
				t.Errorf("%q by %q since %s: %s, want %s", test.filter, test.by, since, text, test.want)
			}
			if !since.IsZero() && (done != counts.Total || total != counts.Total) {
				t.Errorf("progress: %d of %d", done, total)
			}
		}
	}
	if counts, err := analytics.CountEvents(t.Context(), link, cfg, analytics.Query{By: []string{"prefix"}, Since: time.Now().Add(time.Hour)}, nil); err != nil || counts.Total != 0 {
		t.Errorf("since the future: %+v, %v", counts, err)
	}
}
