package main

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// injections are texts that a terminal would obey, of strangers who may write
// whatever fits into a payload, a title or an id.
var injections = []string{
	"plan\x1b[2J:clear the screen",
	"\x1b]0;set the title\x07",
	"\x1b]52;c;Y29weQ==\x1b\\",
	"\u009b31mC1, red",
	"\u009d0;C1, title\u009c",
	"\u0090$q\u009c",
	"over\rwritten",
	"erased\b\b\b\b\b\b",
	"a line\nof its own",
	"\x7f\x00\x05\x0e\x0f",
	"\u202egnp.exe",
	"\u2066isolate\u2069\u2067right to left\u2069",
	"\u061c\u200e\u200f",
	"a line\u2028and\u2029another",
	"zero\u200bwidth\ufeff",
	"\U000e0001\U000e0041 tags",
	`\u001b[31m, spelled out`,
}

// wantNoControls fails where a terminal would obey output.
func wantNoControls(t *testing.T, what, output string) {
	t.Helper()
	if !utf8.ValidString(output) {
		t.Errorf("%s is not UTF-8: %q", what, output)
	}
	for _, r := range output {
		if r != '\n' && r != '\t' && (r < ' ' || 0x7f <= r && r < 0xa0 || strings.ContainsRune(hiding, r)) {
			t.Errorf("%s holds %U: %q", what, r, output)
			return
		}
	}
}

const hiding = "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\U000e0001\U000e0041"

func TestParseIsSafeOnATerminal(t *testing.T) {
	setenv(t, nil)
	for _, raw := range injections {
		if strings.Contains(raw, "\x00") {
			continue // no argument of a program can hold it
		}
		_, text, _ := runGateway("parse", "--", raw)
		wantNoControls(t, "parse", text)
		_, text, _ = runGateway("parse", "--json", "--", raw)
		wantNoControls(t, "parse --json", text)
		var got parsed
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Raw != raw {
			t.Errorf("parse --json: %v, got %q for %q", err, got.Raw, raw)
		}
		_, _, said := runGateway(raw)
		wantNoControls(t, "an error", said)
	}
}

// TestStoredEventsAreSafeOnATerminal prints what strangers have sent with each
// command that does.
func TestStoredEventsAreSafeOnATerminal(t *testing.T) {
	p := startGateway(t, t.TempDir())
	js := natstest.JetStream(t, p.at.NATS)
	events := consume(t, p.at.NATS, "POSTBACKS")
	stored := make([]string, 0, 2*len(injections))
	for _, bad := range injections {
		click := simulate.Click{Account: "1", User: "u" + bad, Title: bad, Payload: bad, Ref: bad}
		if status, text := p.post(p.secret(), simulate.Messenger(click)); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, text)
		}
		stored = append(stored, string(events.next().Data()))
		// Not an event, by a client that may publish.
		foreign := bad + "\x9b31m"
		if _, err := js.Publish(t.Context(), "postback.v1.messenger.1.foreign.\u009b", []byte(foreign)); err != nil {
			t.Fatal(err)
		}
		stored = append(stored, string(events.next().Data()))
	}
	t.Chdir(p.dir)
	t.Setenv("GATEWAY_EMBEDDED_LISTEN", strings.TrimPrefix(p.at.NATS, "nats://"))
	wantNoControls(t, "tail", strings.Join(tailLines(t, len(stored)), "\n"))
	for i, line := range tailLines(t, len(stored), "--json") {
		wantNoControls(t, "tail --json", line)
		var got any
		if err := json.Unmarshal([]byte(line), &got); err != nil || !reflect.DeepEqual(got, parsedOrText(stored[i])) {
			t.Errorf("tail --json: %v\ngot  %s\nwant %q", err, line, stored[i])
		}
	}
	wantNoControls(t, "unclaimed", command(t, exitDone, "unclaimed"))
	wantNoControls(t, "unclaimed --json", command(t, exitDone, "unclaimed", "--json"))
	_, said := p.command("forget", "messenger:1:u"+injections[0])
	wantNoControls(t, "forget", said)
	p.terminate()
}

// parsedOrText is what a reader of tail --json gets for a message.
func parsedOrText(message string) (parsed any) {
	if err := json.Unmarshal([]byte(message), &parsed); err != nil {
		return strings.ToValidUTF8(message, "\ufffd")
	}
	return parsed
}

// TestDemoIsSafeOnATerminal: the demo shows what others post to it, too.
func TestDemoIsSafeOnATerminal(t *testing.T) {
	setenv(t, env("LISTEN", "127.0.0.1:0", "ADMIN_LISTEN", "127.0.0.1:0", "EMBEDDED_LISTEN", "127.0.0.1:0", "META_APP_SECRETS", "s"))
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var webhook string
	out := &untilText{text: "after all", found: cancel}
	post := &untilText{text: "until you press Ctrl-C", found: func() {
		if webhook != "" {
			return
		}
		_, rest, _ := strings.Cut(out.String(), "  webhook  ")
		webhook, _, _ = strings.Cut(rest, "/webhooks/meta")
		var clicks []simulate.Click
		for _, bad := range append(injections, "after all") {
			clicks = append(clicks, simulate.Click{Account: "1", User: "u" + bad, Title: bad, Payload: bad, Ref: bad})
		}
		request, err := simulate.Request(webhook, "s", simulate.Messenger(clicks...))
		if err != nil {
			t.Fatal(err)
		}
		(&gatewayProcess{t: t}).do(request)
	}}
	status := execute(ctx, []string{"demo"}, strings.NewReader(""), writerFunc(func(text []byte) (int, error) {
		n, err := out.Write(text)
		_, _ = post.Write(text)
		return n, err
	}), t.Output())
	if status != exitDone {
		t.Errorf("status %d", status)
	}
	if !strings.Contains(out.String(), `title="after all"`) {
		t.Fatalf("the demo did not show everything:\n%s", out)
	}
	wantNoControls(t, "demo", out.String())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }

func FuzzEscapeControls(f *testing.F) {
	for _, text := range injections {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		wantNoControls(t, "text", string(escapeControls([]byte(text))))
		encoded, err := json.Marshal(schema.Payload{Raw: text})
		if err != nil {
			t.Fatal(err)
		}
		var got, want schema.Payload
		if err := json.Unmarshal(encoded, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escapeControls(encoded), &got); err != nil || got.Raw != want.Raw {
			t.Errorf("%v: got %q, want %q", err, got.Raw, want.Raw)
		}
	})
}
