package simulate

import (
	"net/http"

	"github.com/postback-gateway/gateway/schema"
)

// Platform is how a platform is simulated.
type Platform struct {
	// Kinds are the kinds of clicks that the platform has. The first is the default.
	Kinds []schema.Kind
	// Account and User are ids in the form that the platform's have.
	Account, User string
	// Request returns a delivery of the click to the gateway at base, such as
	// http://127.0.0.1:8080. secret is the app secret, or the secret token of the bot.
	Request func(base, secret string, c Click) (*http.Request, error)
}

// Platforms has a row for each of [schema.Platforms].
var Platforms = map[string]Platform{
	schema.Messenger: {messagingKinds, "682498171943165", "1254459154682919", metaRequest(Messenger)},
	schema.Instagram: {messagingKinds, "17841405309211844", "7461234567890", metaRequest(Instagram)},
	schema.WhatsApp:  {whatsappKinds, "106540352242922", "16505551234", metaRequest(WhatsApp)},
	schema.Telegram:  {telegramKinds, "shop_bot", "9007199254740993", telegramRequest},
}

// metaRequest takes what writes the body of a platform behind Meta's webhook.
func metaRequest(body func(...Click) []byte) func(base, secret string, c Click) (*http.Request, error) {
	return func(base, secret string, c Click) (*http.Request, error) {
		return Request(base, secret, body(c))
	}
}

func telegramRequest(base, secret string, c Click) (*http.Request, error) {
	return TelegramRequest(base, c.Account, secret, Telegram(c))
}
