package ingest

import (
	"context"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/schema"
)

// TestDecodeBudget: the memory for the events of all large deliveries is limited. Small
// deliveries always pass, and so does a single large one.
func TestDecodeBudget(t *testing.T) {
	ts := newTestServer(t, nil)
	large := okPostback + strings.Repeat(" ", firstRead)
	charged := int64(decodedSize * len(large))
	var during int64
	ts.pub.publish = func(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
		during = ts.decodeMemory.Load()
		return []schema.Outcome{schema.Stored}, nil
	}
	for _, test := range []struct {
		name   string
		body   string
		others int64 // what other deliveries are charged with
		status int
		want   int64 // charged while it is stored
	}{
		{"alone", large, 0, 200, charged},
		{"the last that fits", large, decodeBudget - charged, 200, decodeBudget},
		{"one too many", large, decodeBudget - charged + 1, 503, 0},
		{"small", okPostback, decodeBudget, 200, decodeBudget},
	} {
		t.Run(test.name, func(t *testing.T) {
			during = 0
			ts.decodeMemory.Store(test.others)
			if a := ts.post(t, []byte(test.body), nil); a.status != test.status || during != test.want {
				t.Errorf("got %d %s with %d bytes charged, want %d with %d", a.status, a.body, during, test.status, test.want)
			}
			if left := ts.decodeMemory.Load(); left != test.others {
				t.Errorf("%d bytes are charged afterwards, want %d", left, test.others)
			}
		})
	}
	t.Run("larger than the budget", func(t *testing.T) {
		b := ts.newBody()
		ts.decodeMemory.Store(0)
		b.bytes = make([]byte, decodeBudget/decodedSize+1)
		if err := b.reserveDecoded(); err != nil {
			t.Error(err)
		}
		b.release()
	})
}
