package publishtest

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// LeastPrivilege runs a server with the permissions that deploy/ recommends.
func LeastPrivilege(t *testing.T, deploy string) *natstest.Server {
	t.Helper()
	NeedsProcess(t)
	text, err := os.ReadFile(deploy + "/nats/permissions.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"GATEWAY_PASSWORD", "PAGE_123_PASSWORD", "OPERATOR_PASSWORD"} {
		t.Setenv(name, strings.ToLower(name))
	}
	return natstest.Start(t, string(text))
}

// ConnectAs returns a connection and what the server complains of on it.
func ConnectAs(t testing.TB, s *natstest.Server, options ...nats.Option) (*nats.Conn, <-chan error) {
	t.Helper()
	complaints := make(chan error, 100)
	nc, err := nats.Connect(s.URL(), append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { complaints <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, complaints
}

// MustBeForbidden checks that a user may not publish on a subject.
func MustBeForbidden(t testing.TB, nc *nats.Conn, complaints <-chan error, subject string) {
	t.Helper()
	if err := nc.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	MustComplain(t, nc, complaints, subject)
}

// MustComplain waits for the server to report a subject.
func MustComplain(t testing.TB, nc *nats.Conn, complaints <-chan error, subject string) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-complaints:
		if !strings.Contains(strings.ToLower(err.Error()), "permissions violation") || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(subject)) {
			t.Errorf("%s: %v", subject, err)
		}
	case <-time.After(natstest.Patience):
		t.Errorf("%s is allowed", subject)
	}
}

// ClickBy is a click of a person on an account.
func ClickBy(id, platform, account string, user schema.User) (item schema.Item) {
	item = Click(id, "plan:x")
	d := item.Event.Data
	d.Platform, d.Account.ID, d.User = platform, account, user
	event, err := schema.New(id, item.Event.Time, d)
	if err != nil {
		panic(err)
	}
	item.Event = event
	return item
}
