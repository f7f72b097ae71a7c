package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/postback-gateway/gateway/schema"
)

// headerTelegram carries the secret_token that was given to setWebhook (Telegram
// Bot API).
const headerTelegram = "X-Telegram-Bot-Api-Secret-Token"

// telegramPaths begins the path of every bot's webhook; its name follows.
const telegramPaths = "/webhooks/telegram/"

// TelegramSecret is one live secret token of one bot.
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

// telegramBots are the live secrets of each bot. It is safe for concurrent use.
type telegramBots map[string][]telegramToken

type telegramToken struct {
	place int // in the list of all secrets, from 1
	hash  [sha256.Size]byte
}

func newTelegramBots(secrets []TelegramSecret) telegramBots {
	bots := make(telegramBots)
	for i, s := range secrets {
		bots[s.Bot] = append(bots[s.Bot], telegramToken{i + 1, sha256.Sum256([]byte(s.Token))})
	}
	return bots
}

// knowBot is a mux.MatcherFunc: the path of a bot that there is not is no path, so
// that it is answered like any other. The bots are those of this moment.
func (s *Server) knowBot(r *http.Request, _ *mux.RouteMatch) bool {
	bot, isBot := strings.CutPrefix(r.URL.Path, telegramPaths)
	return !isBot || s.live.Load().telegram[bot] != nil
}

// verify returns the place of the secret that was sent. The hashes have one
// length, and all of them are compared, so the time tells nothing of a token.
// The error is a signatureError.
func (bots telegramBots) verify(bot string, header http.Header) (place int, err error) {
	sent := header.Get(headerTelegram)
	if sent == "" {
		return 0, signatureError(reasonMissing)
	}
	hash := sha256.Sum256([]byte(sent))
	for _, token := range bots[bot] {
		if subtle.ConstantTimeCompare(hash[:], token.hash[:]) == 1 {
			place = token.place
		}
	}
	if place == 0 {
		return 0, signatureError(reasonMismatch)
	}
	return place, nil
}

// telegramHelp says for every reason what to do about it.
var telegramHelp = map[signatureError]string{
	reasonMissing: "the request has no X-Telegram-Bot-Api-Secret-Token: either it is not from Telegram, or setWebhook was called " +
		"without a secret_token, or something in front of the gateway drops the header",
	reasonMismatch: "the secret token is none of this bot's: call setWebhook with a secret_token that GATEWAY_TELEGRAM_SECRETS lists " +
		"for the bot in the path; it is not the token of the bot",
}

// telegramDelivery takes one update from its first byte to the answer. The
// secret stands in the header, so who does not have it is refused before the
// body is read.
func (s *Server) telegramDelivery(w http.ResponseWriter, r *http.Request) error {
	began, bot := time.Now(), mux.Vars(r)["bot"]
	if s.draining.Load() {
		return errDraining
	}
	if err := s.checkHead(r); err != nil {
		return err
	}
	if err := s.checkTelegram(r, bot); err != nil {
		return err
	}
	ctx, d := s.begin(r, schema.Telegram, began)
	d.bot = bot
	body := s.newBody()
	defer body.release()
	err := s.readBody(w, r, body)
	if err == nil {
		err = s.takeIn(ctx, d, body, func(b *batch) { b.readTelegram(bot, body.bytes) })
	}
	return s.conclude(ctx, w, d, err)
}

func (s *Server) checkTelegram(r *http.Request, bot string) error {
	live := s.live.Load()
	place, err := live.telegram.verify(bot, r.Header)
	var reason signatureError
	if errors.As(err, &reason) {
		s.metrics.signatureFailures.WithLabelValues(schema.Telegram, string(reason)).Inc()
		s.telegramRefusals.write(reason, r.RemoteAddr, "bot", bot)
		return errSecretToken
	}
	live.verifiedTelegram[place-1].Inc()
	return nil
}
