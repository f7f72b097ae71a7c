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

// telegramUpdate is what of an update (Telegram Bot API, "Update") can be an
// interaction. An update holds at most one of its optional members.
type telegramUpdate struct {
	CallbackQuery member[telegramCallback] `json:"callback_query"`
	Message       member[telegramText]     `json:"message"`
}

// telegramText is a message before it is known to be of concern.
type telegramText struct {
	Text hint `json:"text"`
}

// telegramStart is an update whose message is /start.
type telegramStart struct {
	Message telegramMessage `json:"message"`
}

// telegramCallback is a tap on a button of an inline keyboard. It has no time.
type telegramCallback struct {
	ID              text                        `json:"id"`
	From            telegramUser                `json:"from"`
	Message         aside[telegramButtonHolder] `json:"message"`
	InlineMessageID aside[text]                 `json:"inline_message_id"`
	Data            string                      `json:"data"`
	GameShortName   hint                        `json:"game_short_name"`
}

// telegramButtonHolder is the message that had the button. Of one that is no
// longer accessible only chat and id are told.
type telegramButtonHolder struct {
	MessageID   text                    `json:"message_id"`
	Chat        telegramChat            `json:"chat"`
	ReplyMarkup aside[telegramKeyboard] `json:"reply_markup"`
}

type telegramKeyboard struct {
	InlineKeyboard [][]telegramButton `json:"inline_keyboard"`
}

// telegramMessage is one that a person sent.
type telegramMessage struct {
	MessageID text             `json:"message_id"`
	Date      stamp            `json:"date"`
	Chat      telegramChat     `json:"chat"`
	From      telegramUser     `json:"from"`
	Text      string           `json:"text"`
	Entities  []telegramEntity `json:"entities"`
}

type telegramChat struct {
	ID   text `json:"id"`
	Type text `json:"type"`
}

// telegramUser is a person. Ids can have more digits than a float64 keeps.
type telegramUser struct {
	ID           text   `json:"id"`
	FirstName    string `json:"first_name"`
	LastName     string `json:"last_name"`
	Username     text   `json:"username"`
	LanguageCode text   `json:"language_code"`
}

type telegramEntity struct {
	Type   hint `json:"type"`
	Offset text `json:"offset"`
}

// telegramButton can have no callback_data: a link, a game.
type telegramButton struct {
	Text         string  `json:"text"`
	CallbackData *string `json:"callback_data"`
}

// readTelegram reads an update that was sent to a bot. A body that is no JSON
// object becomes a dead letter as a whole.
func (b *batch) readTelegram(bot string, body []byte) {
	if err := checkObject(body); err != nil {
		b.notJSON = true
		b.reject(schema.Telegram, schema.ReasonNotJSON, body, err.Error())
		return
	}
	var update telegramUpdate
	if err := decode(body, &update); err != nil {
		b.reject(schema.Telegram, schema.ReasonMalformed, body, describe(err))
		return
	}
	switch {
	case update.CallbackQuery.present:
		b.telegramCallback(bot, &update.CallbackQuery.value, body)
	case isStart(string(update.Message.value.Text)):
		b.telegramStart(bot, body)
	default:
		b.ignore(schema.Telegram, 1)
	}
}

// checkObject tells why a body is not one JSON object.
func checkObject(body []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(body), lenient...)
	value, err := d.ReadValue()
	kind := value.Kind()
	if err == nil {
		_, err = d.ReadToken() // nothing may follow
	}
	switch {
	case len(body) == 0:
		return errors.New("the body is empty")
	case !errors.Is(err, io.EOF):
		return syntaxFault(err)
	case kind != '{':
		return errors.New("the body is JSON, but no object")
	}
	return nil
}

func (b *batch) telegramCallback(bot string, c *telegramCallback, body []byte) {
	if c.GameShortName != "" {
		b.ignore(schema.Telegram, 1)
		return
	}
	title, onKeyboard := c.button()
	b.add(interaction{
		platform: schema.Telegram,
		account:  bot,
		user:     c.From.normalize(),
		kind:     schema.KindInlineButton,
		channel:  schema.ChannelPrimary,
		title:    title,
		id:       string(c.ID),
		payload:  c.Data,
		body:     body,
		enrich: func(d *schema.Data) {
			d.MessageID = "" // the id is that of the tap, which is no message
			d.ReplyTo, d.Chat = c.place()
			if d.Payload != nil {
				d.Payload.OnKeyboard = onKeyboard
			}
		},
	})
}

// button finds the button that was tapped by its data. Where the update does not
// show a keyboard nothing can be told about it: a message sent by way of inline
// mode, an old one, or one whose keyboard was taken away since.
func (c *telegramCallback) button() (title string, onKeyboard *bool) {
	keyboard := c.Message.value.ReplyMarkup
	if !keyboard.known {
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

// place is the message that had the button, and its chat. A message sent by way
// of inline mode has an id of its own kind, and no chat that the bot may know.
func (c *telegramCallback) place() (message string, chat *schema.Chat) {
	if !c.Message.known {
		return string(c.InlineMessageID.value), nil
	}
	m := &c.Message.value
	return string(m.MessageID), m.Chat.normalize()
}

// telegramStart makes an event of the command by which a person opens a bot:
// a click, or with a parameter a deep link that was followed. Its id is derived:
// Telegram's id of a message is one within its chat only. It is part of what the id
// is derived from: two messages of one second are two clicks.
func (b *batch) telegramStart(bot string, body []byte) {
	var update telegramStart
	if err := decode(body, &update); err != nil {
		b.reject(schema.Telegram, schema.ReasonMalformed, body, describe(err))
		return
	}
	m := &update.Message
	if !m.beginsWithCommand() {
		b.ignore(schema.Telegram, 1)
		return
	}
	i := interaction{
		platform:  schema.Telegram,
		account:   bot,
		user:      m.From.normalize(),
		kind:      schema.KindButton,
		channel:   schema.ChannelPrimary,
		messageID: m.knownID(),
		timestamp: m.Date,
		payload:   startCommand,
		body:      body,
		enrich:    func(d *schema.Data) { d.Chat = m.Chat.normalize() },
	}
	if _, parameter := splitCommand(m.Text); parameter != "" {
		i.kind, i.payload, i.referral = schema.KindReferral, "", &schema.Referral{Ref: parameter}
	}
	b.add(i)
}

// startCommand is what the Start button and deep links send.
const startCommand = "/start"

func isStart(text string) bool {
	command, _ := splitCommand(text)
	return command == startCommand
}

// splitCommand splits a message into its first word and what follows. In groups
// the name of the bot stands behind a command; it is left out, because the bot's
// name in the gateway's settings need not be its user name.
func splitCommand(text string) (command, parameter string) {
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		end = len(text)
	}
	command, _, _ = strings.Cut(text[:end], "@")
	return command, strings.TrimSpace(text[end:])
}

// beginsWithCommand tells a command from a text that only looks like one, such
// as a quoted piece of code: Telegram marks commands. A message without any
// marks is taken at its word.
func (m *telegramMessage) beginsWithCommand() bool {
	for _, e := range m.Entities {
		if e.Type == "bot_command" && e.Offset == "0" {
			return true
		}
	}
	return len(m.Entities) == 0
}

// knownID leaves out the 0 of a message that Telegram has not given its id yet.
func (m *telegramMessage) knownID() string {
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
