package ingest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// telegramUpdate has the members of an update (Telegram Bot API, "Update") that can be
// events. An update has at most one of its optional members.
type telegramUpdate struct {
	ID            optional[stringOrInt]        `json:"update_id"`
	CallbackQuery object[telegramCallback]     `json:"callback_query"`
	Message       object[telegramProbe]        `json:"message"`
	InlineResult  object[telegramInlineResult] `json:"chosen_inline_result"`
	PaidMedia     object[telegramPaidMedia]    `json:"purchased_paid_media"`
}

// telegramProbe is a message that may not be an event.
type telegramProbe struct {
	Text       lenientString  `json:"text"`
	WebAppData jsontext.Value `json:"web_app_data"`
	Payment    jsontext.Value `json:"successful_payment"`
}

// telegramInlineResult is a result of an inline query that a person chose.
type telegramInlineResult struct {
	ResultID        string                `json:"result_id"`
	From            telegramUser          `json:"from"`
	InlineMessageID optional[stringOrInt] `json:"inline_message_id"`
}

// telegramPaidMedia is a purchase of media.
type telegramPaidMedia struct {
	From    telegramUser `json:"from"`
	Payload string       `json:"paid_media_payload"`
}

// decodeTelegram decodes an update. A body that is not a JSON object becomes a dead
// letter as a whole.
func decodeTelegram(b *batch, body []byte) {
	if err := checkObject(body); err != nil {
		b.deadLetterBody(schema.Telegram, body, err)
		return
	}
	e := event{body: body, describe: describeUpdate, origin: b}
	e.Platform, e.Account.ID, e.Channel = schema.Telegram, b.account, schema.ChannelPrimary
	b.add(&e, decodeUpdate(&e, body))
	if b.answerCallbacks && e.Kind == schema.KindInlineButton && b.items[0].Event != nil {
		b.answer = callbackAnswer(e.id)
	}
}

// callbackAnswer is a call of the Bot API in the response to a webhook ("Making requests
// when getting updates"). It needs no bot token.
func callbackAnswer(callbackID string) []byte {
	answer, _ := json.Marshal(struct { // strings cannot fail
		Method string `json:"method"`
		ID     string `json:"callback_query_id"`
	}{"answerCallbackQuery", callbackID})
	return answer
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
	case update.InlineResult.present:
		r := &update.InlineResult.value
		e.Kind, e.User, e.Payload = schema.KindInlineResult, r.From.normalize(), newPayload(r.ResultID)
		e.ReplyTo, e.id = string(r.InlineMessageID.value), update.eventID("chosen_inline_result")
	case update.PaidMedia.present:
		p := &update.PaidMedia.value
		e.Kind, e.User, e.Payload = schema.KindPaidMedia, p.From.normalize(), newPayload(p.Payload)
		e.id = update.eventID("purchased_paid_media")
	case update.Message.value.mayBeEvent():
		return decodeTelegramMessage(e, body)
	}
	return nil
}

// eventID returns the id of an update that has neither an id of its own nor a time: of two
// that are alike, both count.
func (u *telegramUpdate) eventID(member string) string {
	if u.ID.value == "" {
		return ""
	}
	return string(u.ID.value) + ":" + member
}

func (p *telegramProbe) mayBeEvent() bool {
	return isStart(string(p.Text)) || isPresent(p.WebAppData) || isPresent(p.Payment)
}

func (u telegramUser) normalize() schema.User {
	return schema.User{
		ID:       string(u.ID),
		Name:     joinNames(u.FirstName, u.LastName),
		Username: string(u.Username),
		Locale:   string(u.LanguageCode),
	}
}

// telegramUser is a person. Ids can have more digits than a float64 keeps.
type telegramUser struct {
	ID           stringOrInt `json:"id"`
	FirstName    string      `json:"first_name"`
	LastName     string      `json:"last_name"`
	Username     stringOrInt `json:"username"`
	LanguageCode stringOrInt `json:"language_code"`
}

// describeUpdate names an update by its member, and sets what is known about it.
func describeUpdate(e *event) {
	member, value := tellingMember(e.body, "update_id")
	var update struct {
		ID optional[stringOrInt] `json:"update_id"`
	}
	_ = decodeJSON(e.body, &update) // whatever can be read
	e.What, e.id = cmp.Or(member, "update"), string(update.ID.value)
	if value.Kind() != '{' {
		return
	}
	var m telegramOther
	_ = decodeJSON(value, &m) // whatever can be read
	e.timestamp, e.MessageID = m.Date, knownID(m.MessageID.value)
	e.User = m.user()
}

// telegramOther has what updates that are not clicks have in common.
type telegramOther struct {
	MessageID  optional[stringOrInt]  `json:"message_id"`
	Date       timestamp              `json:"date"`
	From       optional[telegramUser] `json:"from"`
	User       optional[telegramUser] `json:"user"`
	SenderChat optional[telegramChat] `json:"sender_chat"`
	ActorChat  optional[telegramChat] `json:"actor_chat"` // of a reaction
	VoterChat  optional[telegramChat] `json:"voter_chat"` // of an answer to a poll
}

func (m *telegramOther) user() schema.User {
	for _, chat := range []optional[telegramChat]{m.SenderChat, m.ActorChat, m.VoterChat} {
		if chat.value.ID != "" {
			return chat.value.asUser()
		}
	}
	if m.From.present {
		return m.From.value.normalize()
	}
	return m.User.value.normalize()
}
