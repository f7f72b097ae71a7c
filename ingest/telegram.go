package ingest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// telegramUpdate has the members of an update (Telegram Bot API, "Update") that can be
// events. An update has at most one of its optional members.
type telegramUpdate struct {
	CallbackQuery object[telegramCallback] `json:"callback_query"`
	Message       object[telegramText]     `json:"message"`
}

// telegramText is a message that may not be an event.
type telegramText struct {
	Text lenientString `json:"text"`
}

// telegramStart is an update whose message is /start.
type telegramStart struct {
	Message telegramMessage `json:"message"`
}

// telegramCallback is a tap on a button of an inline keyboard. It has no time.
type telegramCallback struct {
	ID              stringOrInt                     `json:"id"`
	From            telegramUser                    `json:"from"`
	Message         optional[telegramButtonMessage] `json:"message"`
	InlineMessageID optional[stringOrInt]           `json:"inline_message_id"`
	Data            string                          `json:"data"`
	GameShortName   lenientString                   `json:"game_short_name"`
}

// telegramButtonMessage is the message with the button. If it is not accessible any
// more, it has only chat and id.
type telegramButtonMessage struct {
	MessageID   stringOrInt                `json:"message_id"`
	Chat        telegramChat               `json:"chat"`
	ReplyMarkup optional[telegramKeyboard] `json:"reply_markup"`
}

type telegramKeyboard struct {
	InlineKeyboard [][]telegramButton `json:"inline_keyboard"`
}

// telegramMessage is one that a person sent.
type telegramMessage struct {
	MessageID stringOrInt      `json:"message_id"`
	Date      timestamp        `json:"date"`
	Chat      telegramChat     `json:"chat"`
	From      telegramUser     `json:"from"`
	Text      string           `json:"text"`
	Entities  []telegramEntity `json:"entities"`
}

type telegramChat struct {
	ID   stringOrInt `json:"id"`
	Type stringOrInt `json:"type"`
}

// telegramUser is a person. Ids can have more digits than a float64 keeps.
type telegramUser struct {
	ID           stringOrInt `json:"id"`
	FirstName    string      `json:"first_name"`
	LastName     string      `json:"last_name"`
	Username     stringOrInt `json:"username"`
	LanguageCode stringOrInt `json:"language_code"`
}

type telegramEntity struct {
	Type   lenientString `json:"type"`
	Offset stringOrInt   `json:"offset"`
}

// telegramButton can have no callback_data: a link, a game.
type telegramButton struct {
	Text         string  `json:"text"`
	CallbackData *string `json:"callback_data"`
}

// decodeTelegram decodes an update. A body that is not a JSON object becomes a dead
// letter as a whole.
func decodeTelegram(b *batch, body []byte) {
	if err := checkObject(body); err != nil {
		b.deadLetterBody(schema.Telegram, body, err)
		return
	}
	e := event{body: body}
	e.Platform, e.Account.ID, e.Channel = schema.Telegram, b.account, schema.ChannelPrimary
	b.add(&e, decodeUpdate(&e, body))
}

// checkObject reports why a body is not one JSON object.
func checkObject(body []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(body), lenient...)
	value, err := d.ReadValue()
	kind := value.Kind()
	if err == nil {
		_, err = d.ReadToken() // has to be the end
	}
	switch {
	case len(body) == 0:
		return errors.New("the body is empty")
	case !errors.Is(err, io.EOF):
		return describeSyntaxError(err)
	case kind != '{':
		return errNotObject
	}
	return nil
}

// decodeUpdate sets what the person did. The kind stays empty if the update is not an
// event.
func decodeUpdate(e *event, body []byte) error {
	var update telegramUpdate
	if err := decodeJSON(body, &update); err != nil {
		return err
	}
	switch {
	case update.CallbackQuery.present:
		update.CallbackQuery.value.fill(e)
	case isStart(string(update.Message.value.Text)):
		var start telegramStart
		if err := decodeJSON(body, &start); err != nil {
			return err
		}
		start.Message.fill(e)
	}
	return nil
}

func (c *telegramCallback) fill(e *event) {
	if c.GameShortName != "" {
		return
	}
	e.Kind, e.User, e.id = schema.KindInlineButton, c.From.normalize(), string(c.ID)
	e.ReplyTo, e.Chat = c.message()
	e.Payload = newPayload(c.Data)
	title, onKeyboard := c.button()
	e.Title = title
	if e.Payload != nil {
		e.Payload.OnKeyboard = onKeyboard
	}
}

// button finds the button by its data. Some updates do not show the keyboard: of
// messages sent in inline mode, old ones, and those whose keyboard was removed.
func (c *telegramCallback) button() (title string, onKeyboard *bool) {
	keyboard := c.Message.value.ReplyMarkup
	if !keyboard.present {
		return "", nil
	}
	for _, row := range keyboard.value.InlineKeyboard {
		for _, button := range row {
			if button.CallbackData != nil && *button.CallbackData == c.Data {
				return button.Text, new(true)
			}
		}
	}
	return "", new(false)
}

// message returns the message with the button and its chat. A message sent in inline
// mode has another kind of id, and no chat.
func (c *telegramCallback) message() (id string, chat *schema.Chat) {
	if !c.Message.present {
		return string(c.InlineMessageID.value), nil
	}
	m := &c.Message.value
	return string(m.MessageID), m.Chat.normalize()
}

// fill reads the command by which a person opens a bot: a click, or with a parameter a
// deep link. Telegram's message ids are unique within a chat only, so the event's id is
// derived. The message id is part of it: two messages in one second are two clicks.
func (m *telegramMessage) fill(e *event) {
	if !m.startsWithCommand() {
		return
	}
	e.Kind, e.User, e.Chat = schema.KindButton, m.From.normalize(), m.Chat.normalize()
	e.MessageID, e.timestamp = m.id(), m.Date
	if _, parameter := splitCommand(m.Text); parameter != "" {
		e.Kind, e.Referral = schema.KindReferral, &schema.Referral{Ref: parameter}
	} else {
		e.Payload = newPayload(startCommand)
	}
}

// startCommand is sent by the Start button and by deep links.
const startCommand = "/start"

func isStart(text string) bool {
	command, _ := splitCommand(text)
	return command == startCommand
}

// splitCommand splits a message into its first word and the rest. In groups the bot's
// user name follows the command. It is left out, because the bot can have another name in
// the configuration.
func splitCommand(text string) (command, parameter string) {
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		end = len(text)
	}
	command, _, _ = strings.Cut(text[:end], "@")
	return command, strings.TrimSpace(text[end:])
}

// startsWithCommand reports whether the text is a command, and not for example a quoted
// piece of code. Telegram marks commands; a text without any marks counts as one.
func (m *telegramMessage) startsWithCommand() bool {
	for _, e := range m.Entities {
		if e.Type == "bot_command" && e.Offset == "0" {
			return true
		}
	}
	return len(m.Entities) == 0
}

// id returns "" for 0: Telegram has not given the message an id yet.
func (m *telegramMessage) id() string {
	if m.MessageID == "0" {
		return ""
	}
	return string(m.MessageID)
}

func (c telegramChat) normalize() *schema.Chat {
	if c.ID == "" {
		return nil
	}
	return &schema.Chat{ID: string(c.ID), Type: string(c.Type)}
}

func (u telegramUser) normalize() schema.User {
	return schema.User{
		ID:       string(u.ID),
		Name:     strings.TrimSpace(u.FirstName + " " + u.LastName),
		Username: string(u.Username),
		Locale:   string(u.LanguageCode),
	}
}
