package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// sickStore is a store that something is done to while a gateway uses it.
type sickStore struct {
	t      *testing.T
	server *natstest.Server
	// client is of the operator, whom nobody takes a permission from.
	client jetstream.JetStream
}

const (
	operator    = `{ user: op, password: op }`
	gatewayUser = `{ user: gw, password: pw }`
)

// users is the server's configuration of who may do what.
func users(gateway string) string {
	return "authorization { users: [ " + operator + ", " + gateway + " ] }"
}

func (s *sickStore) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// alter changes the configuration of the stream, as an operator does.
func (s *sickStore) alter(change func(*jetstream.StreamConfig)) {
	s.t.Helper()
	stream, err := s.client.Stream(s.t.Context(), "POSTBACKS")
	s.must(err)
	config := stream.CachedInfo().Config
	change(&config)
	_, err = s.client.UpdateStream(s.t.Context(), config)
	s.must(err)
}

func (s *sickStore) allow(gateway string) {
	s.server.Configure(users(gateway))
	s.server.Reload()
}

// awaitDenied returns when the gateway's user may not publish to a subject any more: a
// server that is told to reload does so a moment later.
func (s *sickStore) awaitDenied(subject string) {
	s.t.Helper()
	eventually(s.t, "the permission is taken away", func() bool {
		nc, err := nats.Connect(s.server.URL(), nats.UserInfo("gw", "pw"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			return false // while it reloads
		}
		defer nc.Close()
		_ = nc.Publish(subject, []byte("{"))
		_ = nc.Flush()
		return errors.Is(nc.LastError(), nats.ErrPermissionViolation)
	})
}

// delete tries again: a reload can cut the operator's connection, too.
func (s *sickStore) delete() {
	s.t.Helper()
	eventually(s.t, "the stream is deleted", func() bool {
		err := s.client.DeleteStream(s.t.Context(), "POSTBACKS")
		return err == nil || errors.Is(err, jetstream.ErrStreamNotFound)
	})
}

// TestSickStore: whatever is wrong with the store, deliveries are answered 503 and
// /readyz says why, also while nobody delivers; and both go back to normal by
// themselves when it is mended, without a delivery that has to try.
func TestSickStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		spoil  func(*sickStore)
		reason string
		mend   func(*sickStore)
	}{
		{"server gone",
			func(s *sickStore) { s.server.Kill() }, "not connected to nats://127.0.0.1",
			func(s *sickStore) { s.server.Start() }},
		{"subjects changed",
			func(s *sickStore) {
				s.alter(func(c *jetstream.StreamConfig) { c.Subjects = []string{"orders.>"} })
			}, "stream POSTBACKS captures orders.>, expected postback.v1.>",
			func(s *sickStore) {
				s.alter(func(c *jetstream.StreamConfig) { c.Subjects = []string{"postback.v1.>"} })
			}},
		{"full",
			func(s *sickStore) { s.alter(func(c *jetstream.StreamConfig) { c.MaxBytes = 10 }) }, "stream POSTBACKS is full",
			func(s *sickStore) { s.alter(func(c *jetstream.StreamConfig) { c.MaxBytes = -1 }) }},
		{"sealed", // for ever: it can only be deleted
			func(s *sickStore) { s.alter(func(c *jetstream.StreamConfig) { c.Sealed = true }) }, "stream POSTBACKS is sealed",
			(*sickStore).delete},
		{"deleted, and another in its place",
			func(s *sickStore) {
				s.allow(`{ user: gw, password: pw, permissions: { publish: { deny: "$JS.API.STREAM.CREATE.*" } } }`)
				s.awaitDenied("$JS.API.STREAM.CREATE.POSTBACKS") // else the gateway makes it again at once
				s.delete()
			}, "stream POSTBACKS is gone",
			func(s *sickStore) { s.allow(gatewayUser) }},
		{"not allowed to publish",
			func(s *sickStore) {
				s.allow(`{ user: gw, password: pw, permissions: { publish: { deny: "postback.>" } } }`)
			}, "see that this user may publish there",
			func(s *sickStore) { s.allow(gatewayUser) }},
		{"not allowed to ask",
			func(s *sickStore) {
				s.allow(`{ user: gw, password: pw, permissions: { subscribe: { deny: "_INBOX.>" } } }`)
			}, "stream POSTBACKS does not answer",
			func(s *sickStore) { s.allow(gatewayUser) }},
		{"not known any more",
			func(s *sickStore) { s.allow(`{ user: other, password: pw }`) }, "not connected to nats://127.0.0.1",
			func(s *sickStore) { s.allow(gatewayUser) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &sickStore{t: t, server: natstest.Start(t, users(gatewayUser))}
			s.client = natstest.JetStream(t, s.server.URL(), nats.UserInfo("op", "op"), nats.MaxReconnects(-1))
			p := startOn(t, s.server.URL(), "GATEWAY_NATS_USER=gw", "GATEWAY_NATS_PASSWORD=pw", "GATEWAY_PUBLISH_TIMEOUT=1500ms")
			flow := &running{traffic: traffic{base: p.at.Webhook, secret: "s"}, client: &http.Client{Timeout: 10 * time.Second}}
			if a := flow.deliver("m_before"); a.status != http.StatusOK {
				t.Fatalf("before: %+v", a)
			}
			test.spoil(s)
			n := 0
			// A server that is told to reload does so soon, and a busy machine can have a
			// delivery answered 503 before that.
			eventually(t, "a delivery answered 503, and why", func() bool {
				n++
				return flow.deliver(fmt.Sprint("m_during_", n)).status == http.StatusServiceUnavailable && p.isUnready(test.reason)
			})
			p.staysUnready(3*time.Second, test.reason)
			test.mend(s)
			p.awaitReady()
			if a := flow.deliver("m_after"); a.status != http.StatusOK {
				t.Errorf("afterwards: %+v, want 200", a)
			}
			p.terminate()
		})
	}
}

// isUnready waits until /readyz gives the reason for its 503, and returns false if it says
// something else than 503 before.
func (p *gatewayProcess) isUnready(reason string) bool {
	p.t.Helper()
	unready := false
	eventually(p.t, "/readyz says "+reason, func() bool {
		status, text := p.get(p.at.Admin + "/readyz")
		unready = status == http.StatusServiceUnavailable
		return !unready || strings.Contains(text, reason)
	})
	return unready
}

// staysUnready checks that /readyz says 503 for so long, and after that because of reason.
func (p *gatewayProcess) staysUnready(d time.Duration, reason string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	last := ""
	for ctx.Err() == nil {
		status, text := p.get(p.at.Admin + "/readyz")
		if status != http.StatusServiceUnavailable {
			p.t.Fatalf("/readyz: %d %s while deliveries are answered 503", status, text)
		}
		if text != last {
			p.t.Log(text)
		}
		last = text
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	p.awaitUnready(reason)
}
