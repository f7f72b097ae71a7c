package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// eventPrinter prints messages: as JSON, as long lines, or on a terminal as short ones.
type eventPrinter struct {
	to     io.Writer
	asJSON bool
	short  bool
	color  bool
}

func newEventPrinter(w io.Writer, asJSON bool) eventPrinter {
	p := eventPrinter{to: w, asJSON: asJSON}
	if file, ok := fileOf(w); ok && !asJSON && isTerminal(file) {
		p.to, p.short, p.color = file, true, os.Getenv("NO_COLOR") == ""
	}
	return p
}

func (p eventPrinter) print(m *stream.Message) error {
	if p.asJSON {
		_, err := fmt.Fprintf(p.to, "%s\n", oneLine(m.Data))
		return err
	}
	if p.short {
		return p.printShort(m)
	}
	line := m.Subject + "  not an event"
	var e schema.Event
	var d schema.DeadLetter
	if json.Unmarshal(m.Data, &e) == nil && e.SpecVersion != "" {
		line = eventLine(m.Subject, &e)
	} else if json.Unmarshal(m.Data, &d) == nil && d.Reason != "" {
		line = fmt.Sprintf("%s  %s  %q  %d bytes", d.ReceivedAt.Format(lineTime), m.Subject, d.Detail, d.Length)
	}
	_, err := fmt.Fprintln(p.to, line)
	return err
}

// The styles of a short line.
const (
	styleDim   = "\x1b[2m"
	styleBold  = "\x1b[1;36m"
	styleWarn  = "\x1b[33m"
	styleReset = "\x1b[0m"
)

// part is a piece of a short line.
type part struct{ style, text string }

// printShort writes a line that fits a terminal. It escapes what came from outside by
// itself, because the writer would escape the colors too.
func (p eventPrinter) printShort(m *stream.Message) error {
	var line strings.Builder
	left := lineWidth
	for i, part := range shortLine(m) {
		text := string(escapeControls([]byte(strings.ReplaceAll(part.text, "\n", " "))))
		if i > 0 {
			text = columnGap + text
		}
		text = cut(text, left)
		left -= utf8.RuneCountInString(text)
		if p.color && part.style != "" {
			text = part.style + text + styleReset
		}
		line.WriteString(text)
		if left == 0 {
			break
		}
	}
	_, err := fmt.Fprintln(p.to, line.String())
	return err
}

const shortLineTime = "01-02 15:04:05"

func shortLine(m *stream.Message) []part {
	var e schema.Event
	var d schema.DeadLetter
	switch {
	case json.Unmarshal(m.Data, &e) == nil && e.SpecVersion != "":
		return shortEvent(m, &e)
	case json.Unmarshal(m.Data, &d) == nil && d.Reason != "":
		return []part{{styleDim, d.ReceivedAt.Format(shortLineTime)}, {"", d.Platform}, {styleWarn, string(d.Reason)}, {"", d.Detail}}
	default:
		return []part{{styleDim, m.Time.UTC().Format(shortLineTime)}, {"", m.Subject}, {styleWarn, "not an event"}}
	}
}

// shortEvent has what a person looks for: when, where, what, and who.
func shortEvent(m *stream.Message, e *schema.Event) []part {
	parts := []part{{styleDim, e.Time.Format(shortLineTime)}, {"", fmt.Sprintf("%-9s", e.Data.Platform)}, {styleBold, routeOf(m.Subject, &e.Data)}, {"", string(e.Data.Kind)}}
	if e.Data.Channel != schema.ChannelPrimary {
		parts = append(parts, part{styleWarn, string(e.Data.Channel)})
	}
	if e.Data.Title != "" {
		parts = append(parts, part{"", fmt.Sprintf("%q", e.Data.Title)})
	}
	if ref := refText(e.Data.Referral); ref != "" {
		parts = append(parts, part{"", "ref=" + ref})
	}
	who := e.Data.User.ID
	if who == "" {
		who = e.Data.User.Ref
	}
	return append(parts, part{styleDim, who})
}

// routeOf returns prefix and action as they are in the subject, or what names an item that is
// not a click.
func routeOf(subject string, d *schema.Data) string {
	root, below, _ := strings.Cut(subject, "."+d.Platform+"."+schema.EscapeToken(d.Account.ID)+".")
	if t, ok := schema.ParseSubject(root, subject); ok {
		return t.Prefix + "." + t.Action
	}
	return below
}

// oneLine returns a message as JSON on one line. One that is not JSON, which only other
// publishers can have stored, becomes a string.
func oneLine(message []byte) []byte {
	var line bytes.Buffer
	if json.Compact(&line, message) == nil {
		return line.Bytes()
	}
	text, _ := json.Marshal(string(message)) // a string always can be
	return text
}

const lineTime = "2006-01-02T15:04:05.000Z"

// eventLine shows an event to people: when, on which subject, what and who. Texts from
// outside are quoted, so that they cannot control the terminal.
func eventLine(subject string, e *schema.Event) string {
	return e.Time.Format(lineTime) + "  " + subject + "  " + eventDetail(e)
}

func eventDetail(e *schema.Event) string {
	line := string(e.Data.Kind)
	if e.Data.Channel != schema.ChannelPrimary {
		line += "  channel=" + string(e.Data.Channel)
	}
	for _, field := range []struct{ name, value string }{
		{"title", e.Data.Title}, {"payload", payloadText(e.Data.Payload)}, {"ref", refText(e.Data.Referral)},
		{"user", e.Data.User.ID}, {"user_ref", e.Data.User.Ref},
	} {
		if field.value != "" {
			line += fmt.Sprintf("  %s=%q", field.name, field.value)
		}
	}
	return line
}

func payloadText(p *schema.Payload) string {
	if p == nil {
		return ""
	}
	return p.Raw
}

func refText(r *schema.Referral) string {
	if r == nil {
		return ""
	}
	return r.Ref
}
