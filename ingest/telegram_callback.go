package ingest

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// telegramCallback is a tap on a button of a message. It has no time.
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
	telegramPlace
	ReplyMarkup optional[telegramKeyboard] `json:"reply_markup"`
	RichMessage jsontext.Value             `json:"rich_message"`
}

type telegramKeyboard struct {
	InlineKeyboard [][]telegramButton `json:"inline_keyboard"`
}

// telegramButton can have no callback_data: a link, a game.
type telegramButton struct {
	Text         string  `json:"text"`
	CallbackData *string `json:"callback_data"`
}

func (c *telegramCallback) fill(e *event) {
	if c.GameShortName != "" {
		return
	}
	e.Kind, e.User, e.id = schema.KindInlineButton, c.From.normalize(), string(c.ID)
	e.Payload = newPayload(c.Data)
	m := &c.Message.value
	if c.Message.present {
		e.ReplyTo, e.Chat, e.EphemeralMessageID = knownID(m.MessageID), m.chat(), string(m.EphemeralID.value)
	} else {
		e.ReplyTo = string(c.InlineMessageID.value) // of another kind, and without a chat
	}
	title, onKeyboard := m.button(c.Data)
	e.Title = title
	if e.Payload != nil {
		e.Payload.OnKeyboard = onKeyboard
	}
}

// button finds the button by its data, on the keyboard or in the text. Some updates do not
// show the buttons: of messages sent in inline mode, old ones, and those whose keyboard
// was removed.
func (m *telegramButtonMessage) button(data string) (title string, onKeyboard *bool) {
	for _, row := range m.ReplyMarkup.value.InlineKeyboard {
		for _, button := range row {
			if button.CallbackData != nil && *button.CallbackData == data {
				return button.Text, new(true)
			}
		}
	}
	isRich := m.RichMessage.Kind() == '{'
	if isRich {
		if title, found := findRichButton(m.RichMessage, data); found {
			return title, new(true)
		}
	}
	if !m.ReplyMarkup.present && !isRich {
		return "", nil
	}
	return "", new(false)
}

// richButtons finds a button in a rich message ("RichMessage", since Bot API 10.3). The
// blocks and the texts in it hold buttons at any depth, and nothing else has callback_data.
type richButtons struct {
	walker
	data  string
	title string
	found bool
}

func findRichButton(message []byte, data string) (title string, found bool) {
	b := richButtons{walker: newWalker(message), data: data}
	defer b.release()
	_ = b.search() // the message has been read before
	return b.title, b.found
}

// search looks for the button in the next value.
func (b *richButtons) search() error {
	switch b.dec.PeekKind() {
	case '[':
		return b.array(b.search)
	case '{':
		return b.searchObject()
	default:
		return b.dec.SkipValue()
	}
}

func (b *richButtons) searchObject() error {
	var data lenientString
	var text []byte
	err := b.object(func(name string) error {
		switch name {
		case "callback_data":
			return data.UnmarshalJSONFrom(b.dec)
		case "text":
			start := b.dec.InputOffset()
			err := b.search()
			text = bytes.TrimLeft(b.body[start:b.dec.InputOffset()], ": \t\r\n")
			return err
		default:
			return b.search()
		}
	})
	if !b.found && data != "" && string(data) == b.data {
		b.title, b.found = plainText(text), true
	}
	return err
}

// plainText returns the characters of a rich text: a string, a list of rich texts, or an
// object around one.
func plainText(rich []byte) string {
	var value any
	if json.Unmarshal(rich, &value) != nil {
		return ""
	}
	var text strings.Builder
	appendPlainText(&text, value)
	return text.String()
}

func appendPlainText(to *strings.Builder, value any) {
	switch v := value.(type) {
	case string:
		to.WriteString(v)
	case []any:
		for _, part := range v {
			appendPlainText(to, part)
		}
	case map[string]any:
		if text, ok := v["text"]; ok {
			appendPlainText(to, text)
		} else {
			appendPlainText(to, v["alternative_text"]) // of a custom emoji
		}
	}
}
