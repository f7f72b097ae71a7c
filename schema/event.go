package schema

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// JSONSchema is event.v1.schema.json, the JSON Schema of an event. It is written for
// draft 2020-12, and validators of draft-07 can use it too.
//
//go:embed event.v1.schema.json
var JSONSchema []byte

// The types of events. Within a version, fields are only added.
const (
	TypeClick    = "postback.click.v1"
	TypeReferral = "postback.referral.v1"
	TypeOptin    = "postback.optin.v1"
	// TypeIdentity says that a person has a new id; the old ones are in Data.Previous.
	TypeIdentity = "postback.identity.v1"
	// TypeOther is an item that is not a click: a text, a receipt, a payment query …
	TypeOther = "postback.other.v1"
)

// Kind is what the person did.
type Kind string

// The kinds of events. Meta does not distinguish postback buttons, Get Started and the
// persistent menu: all are a button.
const (
	KindButton         Kind = "button"
	KindQuickReply     Kind = "quick_reply"
	KindList           Kind = "list"
	KindTemplateButton Kind = "template_button"
	KindFlow           Kind = "flow"
	KindInlineButton   Kind = "inline_button"
	KindReferral       Kind = "referral"
	KindOptin          Kind = "optin"
	// KindCallButton is a WhatsApp button that starts a call.
	KindCallButton Kind = "call_button"
	// KindForm is an answer to a WhatsApp form other than a flow; Data.Form names it.
	KindForm Kind = "form"
	// KindWebApp is what a Telegram Mini App sent when it closed.
	KindWebApp       Kind = "web_app"
	KindPayment      Kind = "payment"
	KindPaidMedia    Kind = "paid_media"
	KindInlineResult Kind = "inline_result"
	KindIdentity     Kind = "identity"
)

// Channel says how the platform delivered the event.
type Channel string

// The channels. On standby, another app controls the conversation and Meta omits the
// payload. Test is a sample from the dashboard's Test button.
const (
	ChannelPrimary Channel = "primary"
	ChannelStandby Channel = "standby"
	ChannelTest    Channel = "test"
)

// StandbySuffix ends the platform's own id of an event on the standby channel, because
// the same message can come on both channels.
const StandbySuffix = ":standby"

// Limits of an event, in bytes. An item that exceeds them is malformed.
const (
	MaxAccount = 128
	MaxID      = 255
)

const (
	specVersion     = "1.0"
	dataContentType = "application/json"
	dataSchema      = "https://github.com/postback-gateway/gateway/schema/event.v1.schema.json"

	// ContentType is the media type of an encoded event (CloudEvents 1.0, JSON
	// event format, structured mode).
	ContentType = "application/cloudevents+json"
)

// Event is one thing that one person did. It is the body of a NATS message: a CloudEvents
// 1.0 object with the same attributes for every platform. Decode it with encoding/json.
// Unknown fields are from a later version of the gateway and can be ignored.
type Event struct {
	SpecVersion string `json:"specversion"`
	// ID is the same for every delivery of the event, and unique within Source.
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	DataSchema      string    `json:"dataschema"`
	// PartitionKey is the same for all events of one person on one account. Consumers that
	// need these in order can use it (CloudEvents' partitioning extension).
	PartitionKey string `json:"partitionkey"`
	Data         Data   `json:"data"`
}

// Data says what the person did.
type Data struct {
	Platform string `json:"platform"`
	// Account and User are always set, except in an event of [TypeOther] that has none.
	Account Account `json:"account,omitzero"`
	User    User    `json:"user,omitzero"`
	// Previous has the person's old ids, in an event of [TypeIdentity].
	Previous *User `json:"previous,omitempty"`
	// Kind is set in all events but those of [TypeOther]; they have What.
	Kind Kind `json:"kind,omitempty"`
	// What names an item of [TypeOther] by its telling member or field: text, read,
	// status_delivered, edited_message …
	What    string  `json:"what,omitempty"`
	Channel Channel `json:"channel"`
	Title   string  `json:"title,omitempty"`
	// Description is the smaller text below the title of a row of a list.
	Description string `json:"description,omitempty"`
	// MessageID is the platform's own id of the person's message, if there is one.
	MessageID string `json:"message_id,omitempty"`
	// ReplyTo is the platform's own id of the message that had the button.
	ReplyTo string `json:"reply_to,omitempty"`
	// EphemeralMessageID is Telegram's id of a message that only this person sees. It
	// has no other id.
	EphemeralMessageID string `json:"ephemeral_message_id,omitempty"`
	// Chat is where it happened, on platforms that have chats of several people.
	Chat *Chat `json:"chat,omitempty"`
	// PriorSource says where a Messenger person's User.Ref comes from: the first
	// message after a checkbox plugin, for example.
	PriorSource string `json:"prior_source,omitempty"`
	// Form is WhatsApp's name of the form that was answered, if it is not a flow.
	Form     string    `json:"form,omitempty"`
	Payload  *Payload  `json:"payload,omitempty"`
	Referral *Referral `json:"referral,omitempty"`
	// ReceivedAt is when the gateway received the delivery, to the millisecond.
	ReceivedAt time.Time `json:"received_at"`
	// Raw is the platform's own item. It is set in all events of [TypeOther], and in
	// others only if the gateway is configured to.
	Raw json.RawMessage `json:"raw,omitzero"`
}

// Account is the page, professional account, phone number or bot.
type Account struct {
	ID string `json:"id"`
}

// User is the person. At least one of ID and Ref is set.
type User struct {
	ID string `json:"id,omitempty"`
	// Ref is Meta's user_ref: the person has no id yet.
	Ref string `json:"ref,omitempty"`
	// ScopedID is WhatsApp's business-scoped user id. If the person hides the phone
	// number, ID is the same.
	ScopedID string `json:"scoped_id,omitempty"`
	// ParentScopedID is a scoped id that several business portfolios share.
	ParentScopedID string `json:"parent_scoped_id,omitempty"`

	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
	Locale   string `json:"locale,omitempty"`
}

// Chat is a conversation of one or more people with the bot.
type Chat struct {
	ID string `json:"id"`
	// Type is an open set: private, group, supergroup, channel.
	Type string `json:"type,omitempty"`
	// ThreadID is the topic of a Telegram forum.
	ThreadID string `json:"thread_id,omitempty"`
	// BusinessConnectionID is Telegram's id of the business account on whose behalf the
	// bot writes in this chat.
	BusinessConnectionID string `json:"business_connection_id,omitempty"`
}

// key returns what identifies the person.
func (u User) key() string {
	if u.ID != "" {
		return u.ID
	}
	return u.Ref
}

// Referral says where the person came from: a link, an ad, a plugin.
type Referral struct {
	Ref string `json:"ref,omitempty"`
	// Source is an open set: SHORTLINK, SHORT-URL, ADS …
	Source string `json:"source,omitempty"`
	Type   string `json:"type,omitempty"`
	AdID   string `json:"ad_id,omitempty"`
	// Extra has all other fields, as the platform sent them.
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
}

// New returns an event that happened at a time by the platform's clock. id is the
// platform's own, or from [DeriveID]. The error says what is missing or exceeds a limit:
// such an item is malformed.
func New(id string, at time.Time, d Data) (*Event, error) {
	if err := check(id, &d); err != nil {
		return nil, err
	}
	return &Event{
		SpecVersion:     specVersion,
		ID:              id,
		Source:          "/" + d.Platform + "/" + url.PathEscape(cmp.Or(d.Account.ID, tokenNone)),
		Type:            eventType(&d),
		Time:            at.UTC(),
		DataContentType: dataContentType,
		DataSchema:      dataSchema,
		PartitionKey:    d.Platform + ":" + d.Account.ID + ":" + d.User.key(),
		Data:            d,
	}, nil
}

func check(id string, d *Data) error {
	isOther := d.What != ""
	switch account := d.Account.ID; {
	case account == "" && !isOther:
		return fmt.Errorf("no account: expected the id of the page or account that was spoken to")
	case len(account) > MaxAccount:
		return fmt.Errorf("account of %d bytes: expected at most %d", len(account), MaxAccount)
	case !isHeaderSafe(account):
		return fmt.Errorf("account %.40q: expected no control characters and no white space at its ends", account)
	case d.User.key() == "" && !isOther:
		return fmt.Errorf("no user: expected an id or a user_ref")
	case id == "":
		return fmt.Errorf("no id")
	case len(id) > MaxID:
		return fmt.Errorf("id of %d bytes: expected at most %d", len(id), MaxID)
	case !isHeaderSafe(id):
		return fmt.Errorf("id %.40q: expected no control characters and no white space at its ends", id)
	}
	return nil
}

// isHeaderSafe reports whether s stays the same in the Nats-Msg-Id header. The client
// replaces line breaks there and trims white space, so two ids could become one.
func isHeaderSafe(s string) bool {
	return utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, unicode.IsControl)
}

func eventType(d *Data) string {
	switch {
	case d.What != "":
		return TypeOther
	case d.Kind == KindReferral:
		return TypeReferral
	case d.Kind == KindOptin:
		return TypeOptin
	case d.Kind == KindIdentity:
		return TypeIdentity
	default:
		return TypeClick
	}
}

// NatsMsgID returns the value of the Nats-Msg-Id header, by which the stream recognizes
// an event that it has already. Account and id are escaped, because both can contain the
// separator.
func (e *Event) NatsMsgID() string {
	id, suffix := e.ID, ""
	if e.Data.Channel == ChannelStandby && strings.HasSuffix(id, StandbySuffix) {
		id, suffix = strings.TrimSuffix(id, StandbySuffix), StandbySuffix
	}
	return e.Data.Platform + ":" + escapeIDPart(e.Data.Account.ID) + ":" + escapeIDPart(id) + suffix
}

// Conflicts reports whether other, which has the same Nats-Msg-Id, has another user or
// payload. The stream keeps only the first of them.
func (e *Event) Conflicts(other *Event) bool {
	return e.Data.User.key() != other.Data.User.key() || e.Data.Payload.raw() != other.Data.Payload.raw()
}

var idPartEscapes = strings.NewReplacer("%", "%25", ":", "%3A")

func escapeIDPart(part string) string {
	if !strings.ContainsAny(part, "%:") { // nearly always
		return part
	}
	return idPartEscapes.Replace(part)
}
