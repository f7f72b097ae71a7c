package simulate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// whatsappKinds are the kinds of clicks that WhatsApp has.
var whatsappKinds = []schema.Kind{schema.KindButton, schema.KindList, schema.KindTemplateButton, schema.KindFlow, schema.KindReferral}

// WhatsApp returns the body of one delivery with one change, which has a message for each
// click. Account is the phone number id, User the phone number. The payload of a flow is
// the JSON of its answer; any other text becomes the answer's action. A referral is the
// first message of a person who tapped an ad, without Payload and Ref. It panics if
// WhatsApp does not have a click's kind.
func WhatsApp(clicks ...Click) []byte {
	var messages, contacts []any
	known := make(map[string]bool)
	for _, c := range clicks {
		messages = append(messages, c.whatsappMessage())
		if !known[c.User] {
			known[c.User] = true
			contacts = append(contacts, map[string]any{
				"profile": map[string]any{"name": "Sheena Nelson"}, "wa_id": c.User, "user_id": c.scopedID(),
			})
		}
	}
	value := map[string]any{
		"messaging_product": "whatsapp",
		"metadata":          map[string]any{"display_phone_number": displayNumber, "phone_number_id": clicks[0].Account},
		"contacts":          contacts, "messages": messages,
	}
	entry := map[string]any{
		"id": "102290129340398", "time": time.Now().Unix(),
		"changes": []any{map[string]any{"value": value, "field": "messages"}},
	}
	return encode(map[string]any{"object": "whatsapp_business_account", "entry": []any{entry}})
}

func (c Click) whatsappMessage() map[string]any {
	message := c.whatsappContent()
	message["from"], message["from_user_id"] = c.User, c.scopedID()
	message["id"] = c.id("wamid.")
	message["timestamp"] = strconv.FormatInt(c.at().Unix(), 10)
	if message["referral"] == nil {
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
	if strings.HasPrefix(c.Payload, "{") && json.Valid([]byte(c.Payload)) {
		return c.Payload
	}
	answer, _ := json.Marshal(map[string]any{"flow_token": "unused", "action": c.Payload}) // strings cannot fail
	return string(answer)
}

// displayNumber is the business's phone number as people see it.
const displayNumber = "15550783881"

// scopedID is the business-scoped user id, which WhatsApp sends next to the number.
func (c Click) scopedID() string { return "US." + c.User }
