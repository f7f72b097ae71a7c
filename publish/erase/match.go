package erase

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// Person names somebody whose messages are searched for.
type Person struct {
	Platform string
	Account  string // empty: on every account of the platform
	User     string // any of the ids that events have for the person
}

// filters match all messages of a stream that can be the person's.
func (p *Person) filters(cfg *stream.Settings, spec *stream.Spec) []string {
	root := spec.Prefix + cfg.Root
	if !spec.DeadLetters {
		return schema.Tokens{Platform: p.Platform, Account: schema.EscapeToken(p.Account)}.Filters(root)
	}
	filters := []string{root + "." + p.Platform + ".*"}
	if schema.WebhookOf(p.Platform) == schema.UnknownPlatform {
		filters = append(filters, root+"."+schema.UnknownPlatform+".*")
	}
	return filters
}

// inEvent reports whether the event is one of the person, and returns the person's other
// ids in it.
func (p *Person) inEvent(data []byte) (others []string, found bool) {
	var e schema.Event
	if !mayContain(data, p.User) || json.Unmarshal(data, &e) != nil {
		return nil, false
	}
	d := &e.Data
	ids := []string{d.User.ID, d.User.Ref, d.User.ScopedID, d.User.ParentScopedID}
	if d.Platform != p.Platform || p.Account != "" && d.Account.ID != p.Account || !slices.Contains(ids, p.User) {
		return nil, false
	}
	for _, id := range ids {
		if id != "" && id != p.User {
			others = append(others, d.Platform+":"+d.Account.ID+":"+id)
		}
	}
	return others, true
}

// inOther also finds the person in the platform's item: a receipt, for example, is an event
// without a user that names the person whom it is about.
func (p *Person) inOther(data []byte) (others []string, found bool) {
	if others, found = p.inEvent(data); found {
		return others, true
	}
	var e schema.Event
	if !mayContain(data, p.User) || json.Unmarshal(data, &e) != nil || p.Account != "" && e.Data.Account.ID != p.Account {
		return nil, false
	}
	return nil, containsValue(e.Data.Raw, p.User)
}

// mayContain avoids that most events of a large stream are decoded.
func mayContain(data []byte, id string) bool {
	encoded, err := json.Marshal(id)
	verbatim := err == nil && len(encoded) == len(id)+2 // JSON escapes nothing in it
	return !verbatim || bytes.Contains(data, []byte(id))
}

func (p *Person) inDeadLetter(data []byte) (others []string, found bool) {
	var d schema.DeadLetter
	if json.Unmarshal(data, &d) != nil {
		return nil, false
	}
	body, err := d.Delivery()
	if err != nil {
		return nil, false
	}
	if d.Truncated || !json.Valid(body) {
		return nil, containsWord(body, p.User)
	}
	return nil, containsValue(body, p.User)
}

// containsValue reports whether id is a string or a number of a JSON text, however it is
// escaped there. Within longer text, such as JSON in a string, it must stand by itself and
// be an id that hardly stands there by chance.
func containsValue(text []byte, id string) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return false // the end
		}
		switch value := token.(type) {
		case string:
			if value == id || isDistinct(id) && containsWord([]byte(value), id) {
				return true
			}
		case json.Number:
			if value.String() == id {
				return true
			}
		}
	}
}

// distinctLen is the number of characters from which on an id counts within longer text: a
// shorter one could be any number or word.
const distinctLen = 5

func isDistinct(id string) bool {
	other := func(r rune) bool { return !isWordRune(r) }
	return utf8.RuneCountInString(id) >= distinctLen && !strings.ContainsFunc(id, other)
}

// containsWord reports whether word stands in text by itself, and not as a part of a longer
// number or name.
func containsWord(text []byte, word string) bool {
	for at := 0; ; at++ {
		found := bytes.Index(text[at:], []byte(word))
		if found < 0 {
			return false
		}
		at += found
		before, _ := utf8.DecodeLastRune(text[:at])
		after, _ := utf8.DecodeRune(text[at+len(word):])
		if !isWordRune(before) && !isWordRune(after) {
			return true
		}
	}
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
