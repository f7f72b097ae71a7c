package ingest

import (
	"strings"
	"unicode"

	"github.com/postback-gateway/gateway/schema"
)

// telegramMessageUpdate is an update whose message is an event.
type telegramMessageUpdate struct {
	Message telegramMessage `json:"message"`
}

// telegramMessage is one that a person sent. An administrator who is anonymous, and a
// channel, write as a chat.
type telegramMessage struct {
	telegramPlace
	Date       timestamp              `json:"date"`
	From       telegramUser           `json:"from"`
	SenderChat optional[telegramChat] `json:"sender_chat"`
	Text       string                 `json:"text"`
	Entities   []telegramEntity       `json:"entities"`
	WebAppData *telegramWebAppData    `json:"web_app_data"`
	Payment    *telegramPayment       `json:"successful_payment"`
}

// telegramPlace says where a message is.
type telegramPlace struct {
	MessageID   stringOrInt           `json:"message_id"`
	EphemeralID optional[stringOrInt] `json:"ephemeral_message_id"`
	Chat        telegramChat          `json:"chat"`
	ThreadID    optional[stringOrInt] `json:"message_thread_id"`
	IsTopic     optional[bool]        `json:"is_topic_message"`
	BusinessID  optional[stringOrInt] `json:"business_connection_id"`
}

type telegramChat struct {
	ID       stringOrInt   `json:"id"`
	Type     stringOrInt   `json:"type"`
	Title    lenientString `json:"title"`
	Username lenientString `json:"username"`
}

type telegramEntity struct {
	Type   lenientString `json:"type"`
	Offset stringOrInt   `json:"offset"`
}

// telegramWebAppData is what a Mini App sent when it closed.
type telegramWebAppData struct {
	Data       string        `json:"data"`
	ButtonText lenientString `json:"button_text"`
}

type telegramPayment struct {
	Payload string `json:"invoice_payload"`
}

func decodeTelegramMessage(e *event, body []byte) error {
	var update telegramMessageUpdate
	if err := decodeJSON(body, &update); err != nil {
		return err
	}
	update.Message.fill(e)
	return nil
}

// fill sets what the person did. Telegram's message ids are unique within a chat only, so
// the event's id is derived. The message id is part of it: two messages in one second are
// two clicks.
func (m *telegramMessage) fill(e *event) {
	e.User, e.timestamp = m.From.normalize(), m.Date
	if chat := m.SenderChat.value; chat.ID != "" {
		e.User = chat.asUser()
	}
	e.MessageID, e.Chat = knownID(m.MessageID), m.chat()
	e.EphemeralMessageID = string(m.EphemeralID.value)
	switch {
	case m.WebAppData != nil:
		e.Kind, e.Title, e.Payload = schema.KindWebApp, string(m.WebAppData.ButtonText), newPayload(m.WebAppData.Data)
	case m.Payment != nil:
		e.Kind, e.Payload = schema.KindPayment, newPayload(m.Payment.Payload)
	case isStart(m.Text) && m.startsWithCommand():
		m.fillStart(e)
	}
}

// fillStart reads the command by which a person opens a bot: a click, or with a parameter
// a deep link.
func (m *telegramMessage) fillStart(e *event) {
	if _, parameter := splitCommand(m.Text); parameter != "" {
		e.Kind, e.Referral = schema.KindReferral, &schema.Referral{Ref: parameter}
	} else {
		e.Kind, e.Payload = schema.KindButton, newPayload(startCommand)
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

// knownID returns "" for 0: Telegram has not given the message an id, or it has another
// kind of id.
func knownID(id stringOrInt) string {
	if id == "0" {
		return ""
	}
	return string(id)
}

// chat returns where an answer belongs. A thread that is not a topic is only a chain of
// replies.
func (p *telegramPlace) chat() *schema.Chat {
	if p.Chat.ID == "" {
		return nil
	}
	chat := &schema.Chat{ID: string(p.Chat.ID), Type: string(p.Chat.Type), BusinessConnectionID: string(p.BusinessID.value)}
	if p.IsTopic.value {
		chat.ThreadID = string(p.ThreadID.value)
	}
	return chat
}

func (c telegramChat) asUser() schema.User {
	return schema.User{ID: string(c.ID), Name: string(c.Title), Username: string(c.Username)}
}

func joinNames(first, last string) string { return strings.TrimSpace(first + " " + last) }
