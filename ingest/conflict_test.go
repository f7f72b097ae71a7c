package ingest

import (
	"context"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// TestConflictingDuplicates: by the contract, two events with one id are duplicates. If
// they differ, a click is lost, and the log says so.
func TestConflictingDuplicates(t *testing.T) {
	click := func(mid, user, payload string) simulate.Click {
		return simulate.Click{Account: "1", ID: mid, User: user, Payload: payload}
	}
	for name, test := range map[string]struct {
		clicks []simulate.Click
		warns  bool
	}{
		"the same":        {[]simulate.Click{click("m1", "u", "plan"), click("m1", "u", "plan")}, false},
		"another payload": {[]simulate.Click{click("m1", "u", "plan"), click("m1", "u", "hush")}, true},
		"no payload":      {[]simulate.Click{click("m1", "u", "plan"), click("m1", "u", "")}, true},
		"another user":    {[]simulate.Click{click("m1", "u", "plan"), click("m2", "u", "plan"), click("m1", "hush", "plan")}, true},
		"another id":      {[]simulate.Click{click("m1", "u", "plan"), click("m2", "u", "plan:pro")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, nil)
			ts.pub.publish = duplicatesByID
			for range 50 {
				if a := ts.post(t, simulate.Messenger(test.clicks...), nil); a.status != 200 {
					t.Fatalf("got %d %s", a.status, a.body)
				}
			}
			warnings := strings.Count(ts.log.String(), "the id of another click")
			if test.warns != (warnings > 0) || warnings > 10 || strings.Contains(ts.log.String(), "hush") {
				t.Errorf("%d warnings: %s", warnings, ts.log)
			}
		})
	}
}

// duplicatesByID finds the duplicates of a delivery as the stream does.
func duplicatesByID(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
	known, outcomes := make(map[string]bool), make([]schema.Outcome, len(items))
	for i := range items {
		id := items[i].Event.NatsMsgID()
		outcomes[i] = schema.Stored
		if known[id] {
			outcomes[i] = schema.Duplicate
		}
		known[id] = true
	}
	return outcomes, nil
}
