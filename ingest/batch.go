package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/schema"
)

// batch collects what a delivery holds, in its order.
type batch struct {
	receivedAt time.Time
	includeRaw bool

	items   []schema.Item
	notJSON bool                   // the body is no JSON object, and the only item
	ignored map[string]int         // by platform
	undated map[*schema.Event]bool // whose time is that of the receipt

	rejected int // malformed items so far
	surplus  int // those of them that have no item of their own
}

// source is one platform behind Meta's webhook: its name in events, and what
// takes an element of its deliveries apart.
type source struct {
	platform string
	decode   func(*batch, element)
}

// sources are the platforms by the object of a delivery. One file and one row each.
var sources = map[string]source{
	"page":           {schema.Messenger, (*batch).messenger},
	"instagram":      {schema.Instagram, (*batch).instagram},
	objectOfWhatsApp: {schema.WhatsApp, (*batch).whatsapp},
}

// bareSource is the object of a bare sample, which does not name one: it is told
// by what only one platform has. Most fields are the same on Instagram and
// Messenger; those count as a page's.
func bareSource(body []byte) string {
	var sample struct {
		Field hint `json:"field"`
		Value struct {
			Product hint `json:"messaging_product"`
		} `json:"value"`
	}
	switch err := decode(body, &sample); {
	case err != nil:
	case sample.Value.Product == "whatsapp":
		return objectOfWhatsApp
	case sample.Field == fieldInstagramReferral:
		return "instagram"
	}
	return "page"
}

// readMeta reads a delivery of Meta. A body that is no JSON object becomes a dead
// letter as a whole.
func (b *batch) readMeta(body []byte) {
	envelopes, err := readEnvelopes(body)
	if err != nil {
		b.notJSON = true
		b.reject(schema.UnknownPlatform, schema.ReasonNotJSON, body, err.Error())
		return
	}
	for i := range envelopes {
		b.envelope(&envelopes[i])
	}
	b.keepSurplus(body)
}

func (b *batch) ignore(platform string, n int) {
	if n == 0 {
		return
	}
	if b.ignored == nil {
		b.ignored = make(map[string]int)
	}
	b.ignored[platform] += n
}

func (b *batch) envelope(e *envelope) {
	object := e.object
	if object == "" && len(e.elements) == 1 && e.elements[0].list == listBare {
		object = bareSource(e.elements[0].body)
	}
	from, known := sources[object]
	if !known {
		from.platform = schema.UnknownPlatform
	}
	b.ignore(from.platform, e.others)
	for _, element := range e.elements {
		switch {
		case element.fault != "":
			b.reject(from.platform, schema.ReasonMalformed, element.body, element.fault)
		case !known:
			b.ignore(from.platform, 1)
		default:
			from.decode(b, element)
		}
	}
}

// interaction is what a platform's decoder found, before it is an event.
type interaction struct {
	platform  string
	account   string
	user      schema.User
	kind      schema.Kind
	channel   schema.Channel
	title     string
	id        string // the platform's own; empty where it has none
	messageID string // of the message, where that is no id of the interaction
	timestamp stamp
	payload   string
	referral  *schema.Referral
	body      []byte
	enrich    func(*schema.Data) // sets what only this platform tells; or nil
}

// add makes an event of an interaction, or a dead letter where it is malformed.
func (b *batch) add(i interaction) {
	item, err := b.item(i)
	if err != nil {
		b.reject(i.platform, schema.ReasonMalformed, i.body, err.Error())
		return
	}
	b.items = append(b.items, item)
}

var errNotUTF8 = errors.New("the item is not UTF-8, which every JSON text has to be")

func (b *batch) item(i interaction) (schema.Item, error) {
	if !utf8.Valid(i.body) {
		return schema.Item{}, errNotUTF8
	}
	d := schema.Data{
		Platform: i.platform, Account: schema.Account{ID: i.account}, User: i.user,
		Kind: i.kind, Channel: i.channel, Title: i.title, MessageID: cmp.Or(i.messageID, i.id),
		Referral: i.referral, ReceivedAt: b.receivedAt,
	}
	var route schema.Route
	d.Payload, route = i.route()
	if i.enrich != nil {
		i.enrich(&d)
	}
	if b.includeRaw {
		// What is not safe inside an event is left out: the click matters more.
		d.Raw, _ = schema.Foreign(i.body)
	}
	at, ok := moment(i.timestamp)
	if !ok {
		at = b.receivedAt
	}
	event, err := schema.New(i.eventID(), at, d)
	if !ok {
		b.markUndated(event)
	}
	return schema.Item{Event: event, Route: route, Body: i.body}, err
}

func (b *batch) markUndated(e *schema.Event) {
	if b.undated == nil {
		b.undated = make(map[*schema.Event]bool)
	}
	b.undated[e] = true
}

// route tells by what the event is published: a payload of the bot's own, or
// else what kind it is.
func (i *interaction) route() (*schema.Payload, schema.Route) {
	payload, route := schema.ParsePayload(i.payload)
	switch {
	case i.payload != "":
		return &payload, route
	case i.kind == schema.KindReferral:
		return nil, schema.RouteReferral(i.ref())
	case i.kind == schema.KindOptin:
		return nil, schema.RouteOptin(i.ref())
	default:
		return nil, route
	}
}

func (i *interaction) ref() string {
	if i.referral == nil {
		return ""
	}
	return i.referral.Ref
}

// eventID is the same for every delivery of the interaction. The same message
// can come on two channels, by which it is two events: only one has a payload.
func (i *interaction) eventID() string {
	switch {
	case i.id == "":
		return schema.DeriveID(schema.Identity{
			Platform: i.platform, Account: i.account, User: i.user, Timestamp: string(i.timestamp),
			Kind: i.kind, Payload: i.payload, Ref: i.ref(), MessageID: i.messageID,
		})
	case i.channel == schema.ChannelStandby:
		return i.id + schema.StandbySuffix
	default:
		return i.id
	}
}

// channel follows from where the element stood.
func (e element) channel() schema.Channel {
	switch e.list {
	case listStandby:
		return schema.ChannelStandby
	case listBare:
		return schema.ChannelTest
	default:
		return schema.ChannelPrimary
	}
}

const (
	// detailLimit keeps the detail of a dead letter short, in bytes.
	detailLimit = 300
	// letterLimit is how many malformed items of a delivery are kept one by one. A
	// body of four million bytes can hold two million of them, more than a store
	// takes in the time of a request, and the platform would deliver it for ever.
	letterLimit = 1000
)

func (b *batch) reject(platform string, reason schema.Reason, body []byte, detail string) {
	if b.rejected++; b.rejected > letterLimit {
		b.surplus++
		return
	}
	if len(detail) > detailLimit {
		detail = strings.ToValidUTF8(detail[:detailLimit], "") + "…"
	}
	b.items = append(b.items, schema.Item{
		Rejection: schema.Rejection{Reason: reason, Detail: detail, Platform: platform, ReceivedAt: b.receivedAt},
		Body:      body,
	})
}

// keepSurplus keeps the whole delivery where it has more malformed items than are
// kept one by one.
func (b *batch) keepSurplus(body []byte) {
	if b.surplus == 0 {
		return
	}
	detail := fmt.Sprintf("%d more malformed items: the whole delivery is kept", b.surplus)
	b.surplus-- // one of them is told by this dead letter's own outcome
	b.rejected = 0
	b.reject(schema.UnknownPlatform, schema.ReasonMalformed, body, detail)
}
