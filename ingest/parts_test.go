package ingest

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
)

// This is a second implementation of the rule which parts can be ignored, with
// encoding/json. Mutations and fuzz targets compare it with the server.

// readAny reads JSON as maps and slices, and keeps numbers as they are.
func readAny(body []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

// kept counts the parts of a delivery of messaging items that have to become an event or
// a dead letter: events, and parts of a wrong type. All other parts are ignored.
func kept(delivery any) (int, bool) { return keptItems(delivery), true }

func keptItems(delivery any) int {
	d, isObject := delivery.(map[string]any)
	if !isObject {
		return 1
	}
	known := d["object"] == "page" || d["object"] == "instagram"
	n := keptID(d["object"])
	entries, isList := d["entry"].([]any)
	if d["entry"] != nil && !isList {
		n++
	}
	for _, entry := range entries {
		n += keptEntry(entry, known)
	}
	if _, isBare := d["value"]; isBare && n == 0 && len(entries) == 0 && (known || d["object"] == nil) {
		return keptChange(d)
	}
	return n
}

func keptEntry(entry any, known bool) int {
	e, isObject := entry.(map[string]any)
	if !isObject {
		return 1
	}
	n, hasItems := keptID(e["id"]), false
	for _, list := range []string{"messaging", "standby", "changes", "calls"} {
		items, isList := e[list].([]any)
		hasItems = hasItems || len(items) > 0
		if e[list] != nil && !isList && list != "calls" {
			n++
		}
		for _, item := range items {
			i, isObject := item.(map[string]any)
			switch {
			case !isObject:
				n++
			case known && list == "changes":
				n += keptChange(i)
			case known && list != "calls" && isInteraction(i):
				n++
			}
		}
	}
	if n == 0 && !hasItems && known {
		return keptEntryItself(e)
	}
	return n
}

// keptEntryItself counts an entry without items, which can be a change or an item.
func keptEntryItself(e map[string]any) int {
	_, hasField := e["field"].(string)
	_, hasSender := e["sender"].(map[string]any)
	switch {
	case hasField && !hasSender:
		return keptChange(e)
	case hasSender && !hasField && isInteraction(e):
		return 1
	}
	return 0
}

// keptID counts an id that is not a string, a number or null.
func keptID(id any) int {
	switch id.(type) {
	case nil, string, json.Number:
		return 0
	default:
		return 1
	}
}

func keptChange(change map[string]any) int {
	field, _ := change["field"].(string)
	switch field {
	case "", "messaging_postbacks", "messaging_referrals", "messaging_referral", "messaging_optins":
		return 1
	case "messages", "standby", "call_permission_reply":
		item, isObject := change["value"].(map[string]any)
		if change["value"] != nil && (!isObject || isInteraction(item)) {
			return 1
		}
	}
	return 0
}

// isInteraction reports whether an item says that it is an event, well-formed or not.
func isInteraction(item map[string]any) bool {
	for _, name := range []string{"postback", "optin", "referral"} {
		if _, has := item[name]; has {
			return true
		}
	}
	if item["call_permission_reply"] != nil {
		return true
	}
	message, isObject := item["message"].(map[string]any)
	if !isObject {
		return item["message"] != nil
	}
	_, isQuickReply := message["quick_reply"]
	return message["is_echo"] != true && (isQuickReply || message["referral"] != nil)
}

// keptWhatsApp counts the messages of a delivery that are events. Malformed parts become
// dead letters in addition.
func keptWhatsApp(delivery any) (n int, exactly bool) {
	for _, value := range whatsappValues(delivery) {
		messages, _ := value["messages"].([]any)
		for _, message := range messages {
			if m, isObject := message.(map[string]any); isObject && isWhatsAppInteraction(m) {
				n++
			}
		}
	}
	return n, false
}

// isWhatsAppInteraction returns false for replies of unknown kinds.
func isWhatsAppInteraction(m map[string]any) bool {
	if m["button"] != nil || m["referral"] != nil {
		return true
	}
	reply, isObject := m["interactive"].(map[string]any)
	if !isObject {
		return m["interactive"] != nil || m["type"] == "interactive" || m["type"] == "button"
	}
	for _, kind := range []string{"button_reply", "list_reply", "nfm_reply", "call_permission_reply"} {
		if reply[kind] != nil || reply["type"] == kind {
			return true
		}
	}
	return false
}

// whatsappValues returns the objects of a delivery that can have messages.
func whatsappValues(delivery any) (values []map[string]any) {
	d, _ := delivery.(map[string]any)
	changes := []any{d}
	if d["object"] == objectWhatsApp {
		changes = nil
		entries, _ := d["entry"].([]any)
		for _, entry := range entries {
			e, _ := entry.(map[string]any)
			list, _ := e["changes"].([]any)
			changes = append(changes, list...)
		}
	} else if d["object"] != nil || d["entry"] != nil || textAt(d, "value", "messaging_product") != "whatsapp" {
		return nil
	}
	for _, change := range changes {
		c, _ := change.(map[string]any)
		field, isText := c["field"].(string)
		value, isObject := c["value"].(map[string]any)
		if !isObject || isText && field != "messages" && field != "standby" && field != "" {
			continue
		}
		values = append(values, value)
		if standby, isObject := value["standby"].(map[string]any); isObject {
			values = append(values, standby)
		}
	}
	return values
}

// keptTelegram returns 1 for an update that says that it is a tap, except for games, and
// for a clear command.
func keptTelegram(update any) (n int, exactly bool) {
	u, isObject := update.(map[string]any)
	if !isObject {
		return 1, true
	}
	if callback, has := u["callback_query"]; has {
		c, isObject := callback.(map[string]any)
		if game, _ := c["game_short_name"].(string); isObject && game != "" {
			return 0, false
		}
		return 1, true
	}
	for _, member := range []string{"chosen_inline_result", "purchased_paid_media"} {
		if _, has := u[member]; has {
			return 1, true
		}
	}
	if m, isObject := u["message"].(map[string]any); isObject && (m["web_app_data"] != nil || m["successful_payment"] != nil) {
		return 1, true
	}
	text, _ := textAt(u, "message", "text").(string)
	entities, isList := textAt(u, "message", "entities").([]any)
	if first, _ := slices.Concat(entities, []any{nil})[0].(map[string]any); !isList || first["type"] != "bot_command" || first["offset"] != json.Number("0") {
		return 0, false
	}
	return keptCommand(text), true
}

func keptCommand(text string) int {
	if regexp.MustCompile(`^/start(@\S*)?(\s|$)`).MatchString(text) {
		return 1
	}
	return 0
}

// textAt returns the value at a path of objects, or nil.
func textAt(value any, path ...string) any {
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// deepClone copies JSON.
func deepClone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = deepClone(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = deepClone(element)
		}
		return out
	default:
		return v
	}
}
