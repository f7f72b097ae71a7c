package console

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// A value is personal unless its member is known not to be: a platform can add fields at
// any time. Masked values keep a pseudonym, so that a reader sees which of them are equal.
const mask = "••••"

// pseudonymKey makes pseudonyms worthless outside of this process.
var pseudonymKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}()

// pseudonym stands for a value that is not shown.
func pseudonym(value string) string {
	mac := hmac.New(sha256.New, pseudonymKey)
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil)[:3])
}

func masked(value string) string {
	if value == "" {
		return ""
	}
	return mask + pseudonym(value)
}

// plainMembers are the members of platforms' items and of events that say nothing about a
// person. A payload is the bot's own text.
var plainMembers = toSet("object", "field", "time", "timestamp", "date", "edit_date", "type", "payload", "data", "callback_data",
	"ref", "source", "kind", "channel", "platform", "specversion", "datacontenttype", "dataschema", "received_at", "raw", "prefix",
	"action", "rest", "on_keyboard", "messaging_product", "phone_number_id", "update_id", "is_bot", "language_code", "locale",
	"ad_id", "what", "offset", "length", "user_token_status", "encoding", "reason", "sha256", "truncated", "chat_type", "status",
	"accepted", "duplicates", "ignored", "rejected")

// plainTrees are members whose whole value is the bot's own.
var plainTrees = toSet("params")

// secretMembers are never shown: with them somebody could answer in the bot's name.
var secretMembers = toSet("notification_messages_token", "one_time_notif_token", "reply_token", "replytoken", "response_url",
	"trigger_id", "token", "access_token", "verify_token", "secret", "flow_token", "hub.verify_token")

// payloadParents are objects whose id is the payload of a button.
var payloadParents = toSet("button_reply", "list_reply")

const secretText = "(secret, never shown)"

func toSet(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// personal matches what a platform puts into a payload when a person shares an address or
// a number.
var personal = regexp.MustCompile(`[^\s@:]+@[^\s@]+\.[^\s@]+|^\+?[0-9][0-9 ().-]{6,}$`)

func isPersonal(payload string) bool { return personal.MatchString(payload) }

// isForm reports whether the payload is what the person filled in.
func isForm(kind schema.Kind) bool {
	return kind == schema.KindFlow || kind == schema.KindForm || kind == schema.KindWebApp
}

// hasForm reports whether an item that is not an event can have what a person filled in.
func hasForm(item []byte) bool { return bytes.Contains(item, []byte("nfm_reply")) }

// masker prints JSON for a reader: indented, secrets hidden, and what is personal masked
// unless it is revealed.
type masker struct {
	reveal   bool
	form     bool            // payloads are what the person filled in
	accounts map[string]bool // ids that are not a person's
}

// print returns the text of a JSON value. What follows a syntax error is left out,
// because nobody knows what it is.
func (m masker) print(value []byte) string {
	var out bytes.Buffer
	lenient := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	dec := jsontext.NewDecoder(bytes.NewReader(value), lenient...)
	enc := jsontext.NewEncoder(&out, append(lenient, jsontext.WithIndent("  "))...)
	for {
		token, err := dec.ReadToken()
		if err != nil {
			finish(enc)
			return m.end(out.String(), value, err)
		}
		parent, length := dec.StackIndex(dec.StackDepth())
		isName := parent == '{' && length%2 == 1
		if kind := token.Kind(); !isName && (kind == '"' || kind == '0') {
			text := token.String()
			if shown := m.value(memberNames(dec.StackPointer()), text); shown != text {
				token = jsontext.String(shown)
			}
		}
		if enc.WriteToken(token) != nil {
			return out.String()
		}
	}
}

// end says how a text ends that is not JSON up to its end.
func (m masker) end(text string, value []byte, err error) string {
	value = bytes.TrimSpace(value)
	isText := len(value) > 0 && value[0] != '{' && value[0] != '['
	switch {
	case errors.Is(err, io.EOF):
		return text
	case m.reveal && isText && !hasSecret(value):
		return strings.ToValidUTF8(string(value), "\uFFFD")
	default:
		return strings.TrimSpace(text + "\n(not JSON from here on: not shown)")
	}
}

// finish closes what is open, so that the encoder writes everything that it has.
func finish(enc *jsontext.Encoder) {
	for enc.StackDepth() > 0 {
		kind, length := enc.StackIndex(enc.StackDepth())
		end := jsontext.EndArray
		if kind == '{' {
			if end = jsontext.EndObject; length%2 == 1 {
				_ = enc.WriteToken(jsontext.Null) // the value of the last name is missing
			}
		}
		if enc.WriteToken(end) != nil {
			return
		}
	}
}

func hasSecret(value []byte) bool {
	lower := strings.ToLower(string(value))
	for name := range secretMembers {
		if strings.Contains(lower, name) {
			return true
		}
	}
	return false
}

// memberNames returns the names of the members that a value is in, without the places in
// lists, the outermost first.
func memberNames(p jsontext.Pointer) (names []string) {
	for token := range p.Tokens() {
		if strings.Trim(token, "0123456789") != "" {
			names = append(names, token)
		}
	}
	return names
}

// value returns what is shown of a string or number.
func (m masker) value(path []string, text string) string {
	name, parent := "", ""
	if n := len(path); n > 0 {
		name = path[n-1]
		if n > 1 {
			parent = path[n-2]
		}
	}
	switch {
	case slices.ContainsFunc(path, func(name string) bool { return secretMembers[strings.ToLower(name)] }):
		return secretText
	case m.reveal || m.accounts[text] || text == "":
		return text
	case slices.Contains(path, "payload") && (m.form || isPersonal(text)):
		return masked(text)
	case slices.ContainsFunc(path, func(name string) bool { return plainTrees[name] }), plainMembers[name]:
		if isPersonal(text) && !isTime(name) {
			return masked(text)
		}
		return text
	case name == "id" && (parent == "account" || parent == "entry" || payloadParents[parent]):
		return text
	default:
		return masked(text)
	}
}

// isTime reports whether the number in a member is a time or a number of the platform's,
// and not somebody's telephone number.
func isTime(name string) bool {
	switch name {
	case "time", "timestamp", "date", "edit_date", "update_id", "phone_number_id", "ad_id", "received_at":
		return true
	}
	return false
}
