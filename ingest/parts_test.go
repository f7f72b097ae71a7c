package ingest

import (
	"bytes"
	"encoding/json"
)

// The rule of what may be ignored, written a second time and in other words, on
// JSON as encoding/json reads it: mutations and fuzz targets compare it with what
// the server did.

// readAny reads JSON as maps and slices; numbers stay as they are.
func readAny(body []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

// kept counts the parts of a delivery of messaging items that have to leave an
// event or a dead letter behind: the interactions, and what is not of the form
// that it has to have where it stands. Every other part may be ignored.
func kept(delivery any) int {
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
	n := keptID(e["id"])
	for _, list := range []string{"messaging", "standby", "changes"} {
		items, isList := e[list].([]any)
		if e[list] != nil && !isList {
			n++
		}
		for _, item := range items {
			i, isObject := item.(map[string]any)
			switch {
			case !isObject:
				n++
			case known && list == "changes":
				n += keptChange(i)
			case known && isInteraction(i):
				n++
			}
		}
	}
	return n
}

// keptID: an id is a text or a number, or there is none.
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
	case "messages", "standby":
		item, isObject := change["value"].(map[string]any)
		if change["value"] != nil && (!isObject || isInteraction(item)) {
			return 1
		}
	}
	return 0
}

// isInteraction: an item that says of itself that it is one, in whatever form.
func isInteraction(item map[string]any) bool {
	for _, name := range []string{"postback", "optin", "referral"} {
		if _, has := item[name]; has {
			return true
		}
	}
	message, isObject := item["message"].(map[string]any)
	if !isObject {
		return item["message"] != nil
	}
	_, isQuickReply := message["quick_reply"]
	return message["is_echo"] != true && (isQuickReply || message["referral"] != nil)
}
