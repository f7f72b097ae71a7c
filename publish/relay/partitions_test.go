package relay_test

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// TestRelayKeepsPartitions: the subject is the one that was stored on this machine, also
// if the number of partitions has changed before the cluster is reached.
func TestRelayKeepsPartitions(t *testing.T) {
	needsProcess(t)
	r := startRelayed(t, natstest.Start(t, ""), func(local, cluster *Config) { local.Partitions, cluster.Partitions = 3, 5 })
	mustPublish(t, r.Publisher, clicks("m", 5)...)
	r.drained()
	subjects := func(all []*jetstream.RawStreamMsg) (s []string) {
		for _, m := range all {
			s = append(s, m.Subject)
		}
		return s
	}
	want := slices.Repeat([]string{"postback.v1.messenger.PAGE.plan.enterprise.p0"}, 5)
	there := natstest.JetStream(t, r.server.URL())
	if got := subjects(stored(t, there, "POSTBACKS")); !slices.Equal(got, want) {
		t.Errorf("the cluster has %q", got)
	}
	// A gateway that stores in the cluster recognizes them, whatever its own number is.
	direct := serverConfig(r.server)
	for _, direct.Partitions = range []int{0, 5} {
		for i, outcome := range mustPublish(t, mustOpen(t, direct), clicks("m", 5)...) {
			if outcome != schema.Duplicate {
				t.Errorf("event %d with %d partitions: %s", i, direct.Partitions, outcome)
			}
		}
	}
	mustPublish(t, mustOpen(t, direct), click("new", "plan:enterprise"))
	if got := subjects(stored(t, there, "POSTBACKS")); got[5] != "postback.v1.messenger.PAGE.plan.enterprise.p1" {
		t.Errorf("the cluster has %q", got)
	}
}
