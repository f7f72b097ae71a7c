package publishtest

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// badSettings are what makes a stream one that does not keep what it acknowledges.
var badSettings = []struct {
	name   string
	change func(*jetstream.StreamConfig)
	want   string
}{
	{"age", func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = time.Second, time.Second }, "drops events when they are 1s old (max_age)"},
	{"discard old", func(c *jetstream.StreamConfig) { c.Discard, c.MaxMsgs = jetstream.DiscardOld, 1 }, "(discard old)"},
	{"one of each subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "(max_msgs_per_subject)"},
	{"subject transform", func(c *jetstream.StreamConfig) {
		c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "postback.>", Destination: "postback.v1.gone.>"}
	}, "(subject_transform)"},
	{"no acknowledgement", func(c *jetstream.StreamConfig) { c.NoAck = true }, "(no_ack)"},
	{"interest", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, "(interest retention)"},
	{"small messages", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 }, "(max_msg_size)"},
}

// BadSettings makes the stream one that loses what it acknowledges, in n ways or in all, and
// checks that deliveries are rejected until it is repaired.
func BadSettings(t *testing.T, p *publish.Publisher, js jetstream.JetStream, n int) {
	t.Helper()
	if n == 0 {
		n = len(badSettings)
	}
	good := Info(t, js, "POSTBACKS").Config
	update := func(t *testing.T, c jetstream.StreamConfig) {
		t.Helper()
		if _, err := js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func(t *testing.T) error {
		_, err := p.Publish(Deadline(t, 5*time.Second), Clicks(t.Name()+time.Now().String(), 1))
		return err
	}
	for _, tt := range badSettings[:n] {
		t.Run(tt.name, func(t *testing.T) {
			bad := good
			tt.change(&bad)
			update(t, bad)
			natstest.Eventually(t, "deliveries are refused because of the stream", func() bool {
				err := deliver(t)
				return err != nil && strings.Contains(err.Error(), tt.want)
			})
			if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Ready: %v", err)
			}
			update(t, good)
			natstest.Eventually(t, "deliveries are taken again", func() bool { return deliver(t) == nil && p.Ready(t.Context()) == nil })
		})
	}
}
