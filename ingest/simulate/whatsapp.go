package simulate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// whatsappKinds are the kinds of clicks that WhatsApp has.
var whatsappKinds = []schema.Kind{schema.KindButton, schema.KindList, schema.KindTemplateButton, schema.KindFlow, schema.KindForm, schema.KindReferral,
	schema.KindOptin, schema.KindCallButton, schema.KindIdentity}

// WhatsApp returns the body of one delivery with an item for each click. Account is the
// phone number id, User the phone number. The payload of a flow is the JSON of its answer;
// any other text becomes the answer's action. That of a form is the JSON of a saved
// address, or its id. A referral is the first message of a person who tapped an ad, without
// Payload and Ref. An opt-in has the Ref [Stop], the default, or [Resume]. An identity is a new number
// of the person. It panics if WhatsApp does not have a click's kind.
func WhatsApp(clicks ...Click) []byte {
	lists := make(map[string][]any) // by their names, which are those of the changes' fields
	var contacts []any
	known := make(map[string]bool)
	for _, c := range clicks {
		name, item := c.whatsappItem()
		lists[name] = append(lists[name], item)
		if !known[c.User] {
			known[c.User] = true
			contacts = append(contacts, map[string]any{
				"profile": map[string]any{"name": "Sheena Nelson"}, "wa_id": c.User, "user_id": c.scopedID(),
			})
		}
	}
	var changes []any
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		changes = append(changes, map[string]any{"field": name, "value": map[string]any{
			"messaging_product": "whatsapp",
			"metadata":          map[string]any{"display_phone_number": displayNumber, "phone_number_id": clicks[0].Account},
			"contacts":          contacts, name: lists[name],
		}})
	}
	entry := map[string]any{"id": "102290129340398", "time": time.Now().Unix(), "changes": changes}
	return encode(map[string]any{"object": "whatsapp_business_account", "entry": []any{entry}})
}

// The Ref of an opt-in on WhatsApp.
const (
	Stop   = "stop"   // no marketing messages any more
	Resume = "resume" // again
)

// whatsappItem returns the item of a click, and the list that it is in.
func (c Click) whatsappItem() (list string, item map[string]any) {
	switch c.Kind {
	case schema.KindOptin:
		value := cmp.Or(c.Ref, Stop)
		// WhatsApp sends seconds and no id: two in one second would be one opt-in.
		return "user_preferences", map[string]any{
			"wa_id": c.User, "category": "marketing_messages", "value": value, "timestamp": c.at().UnixMilli(),
			"detail": "User requested to " + value + " marketing messages",
		}
	case schema.KindCallButton:
		return "calls", map[string]any{
			"id": c.id("wacid."), "from": c.User, "to": displayNumber, "event": "connect", "direction": "USER_INITIATED",
			"timestamp": strconv.FormatInt(c.at().Unix(), 10), "cta_payload": c.Payload,
			"session": map[string]any{"sdp_type": "offer", "sdp": "v=0"},
		}
	default:
		return "messages", c.whatsappMessage()
	}
}

func (c Click) whatsappMessage() map[string]any {
	message := c.whatsappContent()
	message["from"], message["from_user_id"] = c.User, c.scopedID()
	message["id"] = c.id("wamid.")
	message["timestamp"] = strconv.FormatInt(c.at().Unix(), 10)
	if message["referral"] == nil && message["system"] == nil {
		message["context"] = map[string]any{"from": displayNumber, "id": "wamid.HBgLMTQxMjU1NTA4MjkVAgASGBQzQUNCNjk5RDUwNUZGMUZEM0VBRAA="}
	}
	return message
}

// whatsappContent returns the members of a message that depend on the kind.
func (c Click) whatsappContent() map[string]any {
	switch c.Kind {
	case "", schema.KindButton:
		return interactive("button_reply", map[string]any{"id": c.Payload, "title": c.Title})
	case schema.KindList:
		return interactive("list_reply", map[string]any{"id": c.Payload, "title": c.Title, "description": "A row of a list"})
	case schema.KindTemplateButton:
		return map[string]any{"type": "button", "button": map[string]any{"payload": c.Payload, "text": c.Title}}
	case schema.KindFlow:
		return interactive("nfm_reply", map[string]any{"name": "flow", "body": "Sent", "response_json": c.flowAnswer()})
	case schema.KindForm:
		return interactive("nfm_reply", map[string]any{"name": "address_message", "body": "Sheena Nelson", "response_json": c.formAnswer()})
	case schema.KindIdentity:
		return map[string]any{"type": "system", "system": map[string]any{
			"type": "user_changed_number", "wa_id": newNumber, "body": "User Sheena Nelson changed from " + c.User + " to " + newNumber,
		}}
	case schema.KindReferral:
		return map[string]any{"type": "text", "text": map[string]any{"body": "Hello! Can I get more info on this?"}, "referral": whatsappAd()}
	default:
		panic(fmt.Sprintf("simulate: WhatsApp has no click of the kind %q", c.Kind))
	}
}

func whatsappAd() map[string]any {
	return map[string]any{
		"source_url": "https://fb.me/3cr4Wqqkv", "source_id": "120226305854810726", "source_type": "ad",
		"headline": "Chat with us", "body": "Summer succulents are here!", "media_type": "image",
		"image_url": "https://example.com/ad.jpg", "ctwa_clid": "Aff-n8ZTODiE79d22KtAwQKj9e_mIEOOj27vDVwFjN80dp4_0NiNhEgpGo0AHemvuSoifXaytfTzcchptiErTKCqTrJ5nW1h7IHYeYymGb5K5J5iTROpBhWAGaIAeUzHL50",
	}
}

// interactive returns a message with a reply of a type.
func interactive(kind string, reply map[string]any) map[string]any {
	return map[string]any{"type": "interactive", "interactive": map[string]any{"type": kind, kind: reply}}
}

func (c Click) flowAnswer() string {
	return c.answer(map[string]any{"flow_token": "unused", "action": c.Payload})
}

func (c Click) formAnswer() string { return c.answer(map[string]any{"saved_address_id": c.Payload}) }

// answer returns the payload if it is an object of JSON, else the other object.
func (c Click) answer(other map[string]any) string {
	if strings.HasPrefix(c.Payload, "{") && json.Valid([]byte(c.Payload)) {
		return c.Payload
	}
	answer, _ := json.Marshal(other) // strings cannot fail
	return string(answer)
}

// displayNumber is the business's phone number as people see it.
const displayNumber = "15550783881"

// newNumber is that of a person whose number has changed.
const newNumber = "16505559876"

// scopedID is the business-scoped user id, which WhatsApp sends next to the number.
func (c Click) scopedID() string { return "US." + c.User }
