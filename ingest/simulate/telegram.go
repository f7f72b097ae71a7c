package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/postback-gateway/gateway/schema"
)

// telegramKinds are the kinds of clicks that Telegram has. A button is the Start button of
// a bot, and a referral is a deep link. The payload of a Mini App is what it sends, and that
// of an inline result is the result's id.
var telegramKinds = []schema.Kind{schema.KindInlineButton, schema.KindButton, schema.KindReferral,
	schema.KindWebApp, schema.KindPayment, schema.KindPaidMedia, schema.KindInlineResult}

// Telegram returns an update with the click. It does not contain the account: the bot's
// name is in the webhook's path. It panics if Telegram does not have the click's kind.
func Telegram(c Click) []byte {
	switch c.Kind {
	case "", schema.KindInlineButton:
		return c.telegramCallback()
	case schema.KindButton:
		return c.telegramStart("/start")
	case schema.KindReferral:
		return c.telegramStart("/start " + c.Ref)
	case schema.KindWebApp:
		return c.telegramMessage(map[string]any{"web_app_data": map[string]any{"data": c.Payload, "button_text": c.Title}})
	case schema.KindPayment:
		return c.telegramMessage(map[string]any{"successful_payment": map[string]any{
			"currency": "XTR", "total_amount": 5, "invoice_payload": c.Payload,
			"telegram_payment_charge_id": strconv.FormatInt(rand.Int64(), 10), "provider_payment_charge_id": "",
		}})
	case schema.KindPaidMedia:
		return update("purchased_paid_media", map[string]any{"from": c.telegramUser(), "paid_media_payload": c.Payload})
	case schema.KindInlineResult:
		return update("chosen_inline_result", map[string]any{"result_id": c.Payload, "from": c.telegramUser(), "query": "plans"})
	default:
		panic(fmt.Sprintf("simulate: Telegram has no click of the kind %q", c.Kind))
	}
}

func (c Click) telegramCallback() []byte {
	keyboard := [][]any{
		{map[string]any{"text": c.Title, "callback_data": c.Payload}},
		{map[string]any{"text": "Help", "url": "https://example.com/help"}},
	}
	return update("callback_query", map[string]any{
		"id": c.telegramID(), "from": c.telegramUser(), "chat_instance": strconv.FormatInt(rand.Int64(), 10), "data": c.Payload,
		"message": map[string]any{
			"message_id": 5, "date": c.at().Unix() - 60, "chat": c.telegramChat(), "text": "What shall it be?",
			"reply_markup": map[string]any{"inline_keyboard": keyboard},
		},
	})
}

func (c Click) telegramStart(text string) []byte {
	entity := map[string]any{"type": "bot_command", "offset": 0, "length": len("/start")}
	return c.telegramMessage(map[string]any{"text": text, "entities": []any{entity}})
}

// telegramMessage returns a message of the person, with this content.
func (c Click) telegramMessage(content map[string]any) []byte {
	maps.Copy(content, map[string]any{
		"message_id": rand.Int32N(1<<30) + 1, "date": c.at().Unix(), "chat": c.telegramChat(), "from": c.telegramUser(),
	})
	return update("message", content)
}

// TelegramRequest returns a POST of an update to the webhook of a bot at base,
// such as http://127.0.0.1:8080, with the secret token of setWebhook.
func TelegramRequest(base, bot, secret string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, base+"/webhooks/telegram/"+bot, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	return r, nil
}

func update(kind string, content map[string]any) []byte {
	return encode(map[string]any{"update_id": rand.Int32N(1<<30) + 1, kind: content})
}

func (c Click) telegramID() string {
	if c.ID != "" {
		return c.ID
	}
	return strconv.FormatInt(rand.Int64(), 10)
}

func (c Click) telegramUser() map[string]any {
	return map[string]any{
		"id": c.telegramUserID(), "is_bot": false, "first_name": "Sheena", "last_name": "Nelson",
		"username": "sheena_nelson", "language_code": "en",
	}
}

func (c Click) telegramChat() map[string]any {
	return map[string]any{"id": c.telegramUserID(), "type": "private", "first_name": "Sheena", "last_name": "Nelson"}
}

// telegramUserID is a number, as Telegram sends it, if User is one.
func (c Click) telegramUserID() any {
	if _, err := strconv.ParseInt(c.User, 10, 64); err != nil {
		return c.User
	}
	return json.Number(c.User)
}
