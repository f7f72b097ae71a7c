package schematest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// recorder is a test that notes whether it failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

func encoded(t *testing.T) string {
	t.Helper()
	p, _ := schema.ParsePayload("plan:pro")
	e, err := schema.New("id", time.Unix(0, 0), schema.Data{
		Platform: schema.Messenger, Account: schema.Account{ID: "1"}, User: schema.User{ID: "2"},
		Kind: schema.KindButton, Channel: schema.ChannelPrimary, Payload: &p, ReceivedAt: time.Unix(0, 0).UTC(),
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A value that consumers must let pass, because a later version may add it, is
// still a mistake where this version publishes it.
func TestEventNeedsListedValues(t *testing.T) {
	event := encoded(t)
	Event(t, []byte(event))
	for _, change := range [][2]string{
		{`"kind":"button"`, `"kind":"buton"`},
		{`"channel":"primary"`, `"channel":"secondary"`},
		{`"platform":"messenger"`, `"platform":"pigeon"`},
		{`"type":"postback.click.v1"`, `"type":"postback.clack.v1"`},
	} {
		wrong := strings.Replace(event, change[0], change[1], 1)
		r := &recorder{TB: t}
		Event(r, []byte(wrong))
		if wrong == event || !r.failed {
			t.Errorf("%s passes", change[1])
		}
	}
}

func TestEventKeepsACopy(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(EventsDir, dir)
	event := encoded(t)
	Event(t, []byte(event))
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	if len(files) != 1 {
		t.Fatalf("files %q, expected one", files)
	}
	if text, err := os.ReadFile(files[0]); err != nil || string(text) != event {
		t.Errorf("%s, %v", text, err)
	}
}
