package simulate

import (
	"crypto/rand"
	"fmt"
	"maps"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// messagingKinds are the kinds of clicks that Messenger and Instagram have.
var messagingKinds = []schema.Kind{schema.KindButton, schema.KindQuickReply, schema.KindReferral, schema.KindOptin}

// Messenger returns the body of one delivery with one entry, which has an item for each
// click. It panics if the platform does not have a click's kind.
func Messenger(clicks ...Click) []byte { return messenger.delivery(clicks) }

// Instagram returns the body of one delivery, as [Messenger] does.
func Instagram(clicks ...Click) []byte { return instagram.delivery(clicks) }

// DashboardSample returns the body that the Test button beside messaging_postbacks in
// Meta's dashboard sends. The dashboard's own has fixed ids.
func DashboardSample(c Click) []byte {
	c.Kind = schema.KindButton
	return encode(map[string]any{"field": "messaging_postbacks", "value": messenger.item(c)})
}

// messagingPlatform is what differs between the platforms with messaging items.
type messagingPlatform struct {
	object   string
	idPrefix string // of a message's id
	link     string // the source of a referral by the platform's links
}

var (
	messenger = messagingPlatform{object: "page", idPrefix: "m_", link: "SHORTLINK"}
	instagram = messagingPlatform{object: "instagram", idPrefix: "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlE", link: "SHORTLINKS"}
)

func (p messagingPlatform) delivery(clicks []Click) []byte {
	items := make([]any, len(clicks))
	for i, c := range clicks {
		items[i] = p.item(c)
	}
	entry := map[string]any{"id": clicks[0].Account, "time": time.Now().UnixMilli(), "messaging": items}
	return encode(map[string]any{"object": p.object, "entry": []any{entry}})
}

func (p messagingPlatform) item(c Click) map[string]any {
	item := map[string]any{
		"sender":    present(map[string]any{"id": c.User, "user_ref": c.UserRef}),
		"recipient": map[string]any{"id": c.Account},
		"timestamp": c.at().UnixMilli(),
	}
	switch c.Kind {
	case "", schema.KindButton:
		item["postback"] = p.withReferral(c, map[string]any{"mid": c.id(p.idPrefix), "title": c.Title, "payload": c.Payload})
	case schema.KindQuickReply:
		item["message"] = p.withReferral(c, map[string]any{
			"mid": c.id(p.idPrefix), "text": c.Title, "quick_reply": map[string]any{"payload": c.Payload},
		})
	case schema.KindReferral:
		item["referral"] = p.referral(c)
	case schema.KindOptin:
		c.optin(item)
	default:
		panic(fmt.Sprintf("simulate: %s has no click of the kind %q", p.object, c.Kind))
	}
	return item
}

// optin makes the item an opt-in: to a marketing message if the click has a payload, else
// by a plugin on a web page. The plugin names a person without an id inside the opt-in,
// and has no sender then.
func (c Click) optin(item map[string]any) {
	optin := present(map[string]any{"ref": c.Ref, "user_ref": c.UserRef})
	if c.Payload != "" {
		maps.Copy(optin, map[string]any{
			"type": "notification_messages", "payload": c.Payload, "title": c.Title,
			"notification_messages_token": rand.Text(), "user_token_status": "NOT_REFRESHED",
		})
	}
	item["optin"] = optin
	item["sender"] = map[string]any{"id": c.User}
	if c.User == "" {
		delete(item, "sender")
	}
}

func (p messagingPlatform) withReferral(c Click, to map[string]any) map[string]any {
	if c.Ref != "" {
		to["referral"] = p.referral(c)
	}
	return to
}

func (p messagingPlatform) referral(c Click) map[string]any {
	return present(map[string]any{"ref": c.Ref, "source": p.link, "type": "OPEN_THREAD"})
}

// present removes empty fields.
func present(fields map[string]any) map[string]any {
	for name, value := range fields {
		if value == "" {
			delete(fields, name)
		}
	}
	return fields
}
