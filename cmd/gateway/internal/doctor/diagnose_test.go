package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish/monitor"
)

var (
	now  = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	then = now.Add(-10 * time.Minute)
)

// healthy is a gateway without a finding.
func healthy() Status {
	return Status{
		Now: now, Ready: true, Expected: []Webhook{{Webhook: "meta"}},
		Received: ingest.Activity{
			Since:    then,
			Webhooks: []ingest.WebhookActivity{{Webhook: "meta", Handshake: then, Delivery: now}},
			Accounts: []ingest.AccountActivity{{Platform: "messenger", Account: "1", Primary: now}},
			Kinds:    []ingest.KindActivity{{Platform: "messenger", Kind: "button", Last: now}, {Platform: "messenger", Kind: "none", Last: now}},
		},
		Store:     Store{Root: "postback.v1", Stream: "POSTBACKS"},
		Consumers: []monitor.ConsumerState{{Name: "billing", Filters: []string{"postback.v1.*.*.plan.>"}}},
	}
}

func TestDiagnose(t *testing.T) {
	meta := func(s *Status) *ingest.WebhookActivity { return &s.Received.Webhooks[0] }
	waiting := monitor.ConsumerState{Name: "billing", Filters: []string{"x"}, Pending: 7, Since: then}
	for _, test := range []struct {
		name string
		make func(*Status)
		want string // level, code
		do   string
	}{
		{"healthy", func(*Status) {}, "", ""},
		{"not ready", func(s *Status) { s.Ready, s.NotReady = false, "disk full" }, "problem not_ready", ""},
		{"no handshake", func(s *Status) { s.Received.Webhooks = nil; s.Received.Kinds = nil }, "problem no_handshake", "callback URL"},
		{"restarted", func(s *Status) { s.Received.Webhooks = nil; s.Received.Kinds = nil; s.Expected[0].Stored = true }, "", ""},
		{"another platform is used", func(s *Status) {
			s.Received.Webhooks = []ingest.WebhookActivity{{Webhook: "telegram", Account: "shop", Delivery: now}}
			s.Expected = append(s.Expected, Webhook{Webhook: "telegram", Account: "shop"})
		}, "note no_handshake", ""},
		{"a silent bot", func(s *Status) { s.Expected = []Webhook{{Webhook: "telegram", Account: "shop"}} }, "problem no_delivery", "setWebhook"},
		{"a wrong verify token", func(s *Status) { *meta(s) = ingest.WebhookActivity{Webhook: "meta", HandshakeRejected: now} }, "problem handshake_rejected", "GATEWAY_META_VERIFY_TOKEN"},
		{"no delivery", func(s *Status) { meta(s).Delivery = time.Time{} }, "problem no_delivery", "subscribed_apps"},
		{"rejected", func(s *Status) {
			*meta(s) = ingest.WebhookActivity{Webhook: "meta", Handshake: then, Rejection: now, Rejections: 3, Reason: "mismatch", Help: "use the app secret"}
		}, "problem rejected", "use the app secret"},
		{"rejected, before a delivery", func(s *Status) { meta(s).Rejection, meta(s).Rejections = then, 1 }, "note rejected", ""},
		{"a wrong path", func(s *Status) { s.Received.WrongPath, s.Received.WrongPathName = now, "/hook" }, "note wrong_path", "/webhooks/meta"},
		{"dead letters", func(s *Status) { meta(s).DeadLetter = now }, "note dead_letters", "deadletter.>"},
		{"not subscribed", func(s *Status) { s.Received.Kinds = s.Received.Kinds[1:] }, "problem not_subscribed", "messaging_postbacks"},
		{"standby", func(s *Status) {
			s.Received.Accounts[0] = ingest.AccountActivity{Platform: "messenger", Account: "1", Standby: now}
		}, "problem standby_only", "primary receiver"},
		{"no consumer", func(s *Status) { s.Consumers = nil; s.Unclaimed = unclaimed() }, "problem no_consumer", "durable consumer"},
		{"unclaimed", func(s *Status) { s.Unclaimed = unclaimed() }, "problem unclaimed", "gateway unclaimed"},
		{"unclaimed but archived", func(s *Status) {
			s.Unclaimed = unclaimed()
			s.Consumers = append(s.Consumers, monitor.ConsumerState{Name: "archive", Filters: []string{"postback.v1.>"}})
		}, "note unclaimed", ""},
		{"unclaimed but archived by partition", func(s *Status) {
			s.Unclaimed = []monitor.UnclaimedSubject{{Subject: "postback.v1.messenger.1.rate.5.p2", Events: 1, Last: now}}
			s.Consumers = append(s.Consumers, monitor.ConsumerState{Name: "archive", Filters: []string{"postback.v1.*.*.*.*.p2"}})
		}, "note unclaimed", ""},
		{"not running", func(s *Status) { s.Consumers[0] = waiting }, "problem consumer_stuck", "start its program"},
		{"failing", func(s *Status) { s.Consumers[0] = waiting; s.Consumers[0].Redelivered = 2 }, "problem consumer_stuck", "log"},
		{"not acknowledging", func(s *Status) {
			s.Consumers[0] = waiting
			s.Consumers[0].AckPending, s.Consumers[0].MaxAckPending = 5, 5
		}, "problem consumer_stuck", "acknowledge"},
		{"busy", func(s *Status) { s.Consumers[0] = waiting; s.Consumers[0].LastAck = now }, "", ""},
		{"given up", func(s *Status) { s.GivenUp = map[string]uint64{"billing": 3} }, "note given_up", "--given-up billing"},
		{"unreadable", func(s *Status) { s.ReadError = "timeout" }, "problem unreadable", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := healthy()
			test.make(&s)
			r := Diagnose(s)
			var got, do []string
			for _, f := range r.Findings {
				got, do = append(got, string(f.Level)+" "+f.Code), append(do, f.Do)
				if f.About == "" && f.Code != CodeNotReady && f.Code != CodeNoConsumer && f.Code != CodeUnreadable || f.Text == "" {
					t.Errorf("incomplete: %+v", f)
				}
			}
			if strings.Join(got, ", ") != test.want || !strings.Contains(strings.Join(do, ""), test.do) {
				t.Errorf("got %q, %q; want %q", got, do, test.want)
			}
			if r.HasProblem() != strings.HasPrefix(test.want, "problem") {
				t.Error("HasProblem is wrong")
			}
		})
	}
}

func unclaimed() []monitor.UnclaimedSubject {
	return []monitor.UnclaimedSubject{{Subject: "postback.v1.messenger.1.rate.5", Events: 1, Last: now}, {Subject: "postback.v1.messenger.1.rate.4", Events: 1, Last: now}}
}
