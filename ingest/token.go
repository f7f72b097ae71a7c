package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/schema"
)

// labelTelegram is the name of Telegram's webhook.
const labelTelegram = schema.Telegram

// headerTelegram carries the secret_token that was given to setWebhook (Telegram
// Bot API).
const headerTelegram = schema.SecretHeader

// The rejections of a secret token.
var (
	rejectNoToken = &rejection{"missing",
		"the request has no X-Telegram-Bot-Api-Secret-Token: either it is not from Telegram, or setWebhook was called " +
			"without a secret_token, or something in front of the gateway drops the header", errSecretToken}
	rejectWrongToken = &rejection{"mismatch",
		"the secret token is not one of this bot's: call setWebhook with a secret_token that is configured " +
			"for the bot in the path; it is not the token of the bot", errSecretToken}

	tokenRejections = []*rejection{rejectNoToken, rejectWrongToken}
)

// TelegramSecret is one active secret token of one bot.
type TelegramSecret struct {
	Bot   string // its name in the webhook's path, in subjects and events
	Token string
}

// telegramName matches what can stand in a path as it is.
var telegramName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (s TelegramSecret) check() error {
	switch {
	case !telegramName.MatchString(s.Bot) || len(s.Bot) > schema.MaxAccount:
		return fmt.Errorf("the name %.40q of a Telegram bot: expected 1 to %d letters, digits, _ and -", s.Bot, schema.MaxAccount)
	case s.Token == "":
		return fmt.Errorf("the secret token of the Telegram bot %s is empty: anybody could send it", s.Bot)
	}
	return nil
}

// telegramBots are the active secret tokens by bot. It is safe for concurrent use.
type telegramBots map[string][]telegramToken

type telegramToken struct {
	hash [sha256.Size]byte
	uses prometheus.Counter
}

// newTelegramBots takes the counter of each secret's uses.
func newTelegramBots(secrets []TelegramSecret, uses []prometheus.Counter) telegramBots {
	bots := make(telegramBots)
	for i, s := range secrets {
		bots[s.Bot] = append(bots[s.Bot], telegramToken{sha256.Sum256([]byte(s.Token)), uses[i]})
	}
	return bots
}

func telegramBotExists(secrets *liveSecrets, bot string) bool { return secrets.telegram[bot] != nil }

// botOf returns a bot whose secret token this is; empty if there is none. All tokens are
// compared, so the time says nothing about one.
func (bots telegramBots) botOf(token string) (found string) {
	hash := sha256.Sum256([]byte(token))
	for bot, tokens := range bots {
		for i := range tokens {
			if subtle.ConstantTimeCompare(hash[:], tokens[i].hash[:]) == 1 {
				found = bot
			}
		}
	}
	return found
}

// authenticateTelegram is the authenticator of Telegram's webhook. The hashes have one
// length and all of them are compared, so the time says nothing about a token.
func authenticateTelegram(secrets *liveSecrets, r *request) (check, error) {
	sent := r.Header.Get(headerTelegram)
	if sent == "" {
		return nil, rejectNoToken
	}
	hash := sha256.Sum256([]byte(sent))
	matching := -1
	tokens := secrets.telegram[r.account]
	for i := range tokens {
		if subtle.ConstantTimeCompare(hash[:], tokens[i].hash[:]) == 1 {
			matching = i
		}
	}
	if matching < 0 {
		return nil, rejectWrongToken
	}
	tokens[matching].uses.Inc()
	r.trail.secret, r.trail.secrets = matching+1, len(tokens)
	return nil, nil
}
