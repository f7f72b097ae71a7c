package schema

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Encode returns the event as the JSON that is published. It is what encoding/json makes
// of it without escapes for HTML, byte for byte.
func (e *Event) Encode() ([]byte, error) { return e.appendTo(make([]byte, 0, usualSize)) }

// appendTo appends what Encode returns.
func (e *Event) appendTo(out []byte) ([]byte, error) {
	w := jsonWriter{out: append(out, '{')}
	w.text("specversion", e.SpecVersion)
	w.text("id", e.ID)
	w.text("source", e.Source)
	w.text("type", e.Type)
	w.time("time", e.Time)
	w.text("datacontenttype", e.DataContentType)
	w.text("dataschema", e.DataSchema)
	w.text("partitionkey", e.PartitionKey)
	w.open("data")
	e.Data.write(&w)
	w.close()
	w.close()
	return w.out, w.err
}

func (d *Data) write(w *jsonWriter) {
	w.text("platform", d.Platform)
	if d.Account != (Account{}) {
		w.open("account")
		w.text("id", d.Account.ID)
		w.close()
	}
	if d.User != (User{}) {
		w.open("user")
		d.User.write(w)
		w.close()
	}
	if d.Previous != nil {
		w.open("previous")
		d.Previous.write(w)
		w.close()
	}
	w.optional("kind", string(d.Kind))
	w.optional("what", d.What)
	w.text("channel", string(d.Channel))
	w.optional("title", d.Title)
	w.optional("description", d.Description)
	w.optional("message_id", d.MessageID)
	w.optional("reply_to", d.ReplyTo)
	w.optional("ephemeral_message_id", d.EphemeralMessageID)
	if d.Chat != nil {
		w.open("chat")
		d.Chat.write(w)
		w.close()
	}
	w.optional("prior_source", d.PriorSource)
	w.optional("form", d.Form)
	if d.Payload != nil {
		w.open("payload")
		d.Payload.write(w)
		w.close()
	}
	if d.Referral != nil {
		w.open("referral")
		d.Referral.write(w)
		w.close()
	}
	w.time("received_at", d.ReceivedAt)
	if d.Raw != nil {
		w.raw("raw", d.Raw)
	}
}

func (u *User) write(w *jsonWriter) {
	w.optional("id", u.ID)
	w.optional("ref", u.Ref)
	w.optional("scoped_id", u.ScopedID)
	w.optional("parent_scoped_id", u.ParentScopedID)
	w.optional("name", u.Name)
	w.optional("username", u.Username)
	w.optional("locale", u.Locale)
}

func (c *Chat) write(w *jsonWriter) {
	w.text("id", c.ID)
	w.optional("type", c.Type)
	w.optional("thread_id", c.ThreadID)
	w.optional("business_connection_id", c.BusinessConnectionID)
}

func (p *Payload) write(w *jsonWriter) {
	w.text("raw", p.Raw)
	w.optional("prefix", p.Prefix)
	w.optional("action", p.Action)
	for i, piece := range p.Rest {
		if i == 0 {
			w.member("rest")
			w.out = append(w.out, '[')
		} else {
			w.out = append(w.out, ',')
		}
		w.out = appendText(w.out, piece)
	}
	if len(p.Rest) > 0 {
		w.out = append(w.out, ']')
	}
	if p.Params != nil {
		w.raw("params", p.Params)
	}
	if p.OnKeyboard != nil {
		w.member("on_keyboard")
		w.out = strconv.AppendBool(w.out, *p.OnKeyboard)
	}
}

func (r *Referral) write(w *jsonWriter) {
	w.optional("ref", r.Ref)
	w.optional("source", r.Source)
	w.optional("type", r.Type)
	w.optional("ad_id", r.AdID)
	if len(r.Extra) > 0 {
		w.open("extra")
		for _, name := range slices.Sorted(maps.Keys(r.Extra)) {
			w.raw(name, r.Extra[name])
		}
		w.close()
	}
}

// jsonWriter writes nested JSON objects. err is the first error.
type jsonWriter struct {
	out []byte
	err error
}

// member writes the name of the next member of the innermost object.
func (w *jsonWriter) member(name string) {
	if w.out[len(w.out)-1] != '{' {
		w.out = append(w.out, ',')
	}
	w.out = append(appendText(w.out, name), ':')
}

func (w *jsonWriter) open(name string) {
	w.member(name)
	w.out = append(w.out, '{')
}

func (w *jsonWriter) close() { w.out = append(w.out, '}') }

func (w *jsonWriter) text(name, value string) {
	w.member(name)
	w.out = appendText(w.out, value)
}

// optional leaves an empty text out.
func (w *jsonWriter) optional(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *jsonWriter) time(name string, t time.Time) {
	w.member(name)
	w.out = append(w.out, '"')
	out, err := t.AppendText(w.out)
	w.fail(err)
	w.out = append(out, '"')
}

// raw writes foreign JSON without white space.
func (w *jsonWriter) raw(name string, value json.RawMessage) {
	w.member(name)
	if value == nil {
		value = json.RawMessage("null")
	}
	b := bytes.NewBuffer(w.out)
	w.fail(json.Compact(b, value))
	w.out = b.Bytes()
}

func (w *jsonWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// appendText appends s as a JSON string, as [quote] writes it.
func appendText(out []byte, s string) []byte {
	ascii := true
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == '"' || c == '\\' {
			return append(out, quote(s)...)
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if !ascii && (!utf8.ValidString(s) || strings.ContainsAny(s, "\u2028\u2029")) {
		return append(out, quote(s)...)
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"')
}
