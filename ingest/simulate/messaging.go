package simulate

import (
	"crypto/rand"
	"fmt"
	"maps"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// MessagingKinds are the kinds of clicks that Messenger and Instagram have.
func MessagingKinds() []schema.Kind {
	return []schema.Kind{schema.KindButton, schema.KindQuickReply, schema.KindReferral, schema.KindOptin}
}

// Messenger returns the body of one delivery with the clicks, each in an item of
// its own of one entry. It panics where a kind is not one of [MessagingKinds].
func Messenger(clicks ...Click) []byte { return messengerDialect.delivery(clicks) }

// Instagram returns the body of one delivery, as [Messenger] does.
func Instagram(clicks ...Click) []byte { return instagramDialect.delivery(clicks) }

// dialect is what differs between the platforms that deliver messaging items.
type dialect struct {
	object   string
	idPrefix string // of a message's id
	link     string // the source of a referral by the platform's links
}

var (
	messengerDialect = dialect{object: "page", idPrefix: "m_", link: "SHORTLINK"}
	instagramDialect = dialect{object: "instagram", idPrefix: "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlE", link: "SHORTLINKS"}
)

func (d dialect) delivery(clicks []Click) []byte {
	items := make([]any, len(clicks))
	for i, c := range clicks {
		items[i] = d.item(c)
	}
	entry := map[string]any{"id": clicks[0].Account, "time": time.Now().UnixMilli(), "messaging": items}
	return encode(map[string]any{"object": d.object, "entry": []any{entry}})
}

func (d dialect) item(c Click) map[string]any {
	item := map[string]any{
		"sender":    present(map[string]any{"id": c.User, "user_ref": c.UserRef}),
		"recipient": map[string]any{"id": c.Account},
		"timestamp": c.at().UnixMilli(),
	}
	switch c.Kind {
	case "", schema.KindButton:
		item["postback"] = d.withReferral(c, map[string]any{"mid": c.id(d.idPrefix), "title": c.Title, "payload": c.Payload})
	case schema.KindQuickReply:
		item["message"] = d.withReferral(c, map[string]any{
			"mid": c.id(d.idPrefix), "text": c.Title, "quick_reply": map[string]any{"payload": c.Payload},
		})
	case schema.KindReferral:
		item["referral"] = d.referral(c)
	case schema.KindOptin:
		c.optin(item)
	default:
		panic(fmt.Sprintf("simulate: %s has no click of the kind %q", d.object, c.Kind))
	}
	return item
}

// optin makes the item that of a marketing message where there is a payload, or
// else that of a plugin on a web page, which names a person without an id in the
// opt-in and has no sender then.
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

func (d dialect) withReferral(c Click, to map[string]any) map[string]any {
	if c.Ref != "" {
		to["referral"] = d.referral(c)
	}
	return to
}

func (d dialect) referral(c Click) map[string]any {
	return present(map[string]any{"ref": c.Ref, "source": d.link, "type": "OPEN_THREAD"})
}

// present leaves out what is empty.
func present(fields map[string]any) map[string]any {
	for name, value := range fields {
		if value == "" {
			delete(fields, name)
		}
	}
	return fields
}
