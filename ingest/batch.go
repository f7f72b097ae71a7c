package ingest

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/schema"
)

// batch collects the items of one delivery, in their order.
type batch struct {
	account    string // from the webhook's path; empty if the body names it
	receivedAt time.Time
	includeRaw bool
	isUTF8     bool // the whole body is; if not, each item is checked

	isForwarded     bool // the delivery is stored whole too
	storeOther      bool // items that are not clicks become events too
	answerCallbacks bool // a Telegram callback is answered in the response

	items   []schema.Item
	answer  []byte         // the response that the platform expects; nil for the counts
	size    int            // of the body, in bytes
	entryID string         // of the first entry, if the delivery is forwarded
	several bool           // there are entries with different ids
	notJSON bool           // the body is not a JSON object, and the only item
	ignored map[string]int // by platform

	malformed int // items so far
	others    int // items that are not clicks, so far
	surplus   int // items of both sorts that are not kept one by one
}

const (
	// maxDetail is the longest detail of a dead letter, in bytes.
	maxDetail = 300
	// maxDeadLetters is how many malformed items of a delivery become dead letters of
	// their own. A body of four million bytes can hold two million of them, more than a
	// store accepts during one request. The platform would deliver it forever.
	maxDeadLetters = 1000
	// Of the items that are not clicks, this many become events of their own, and one more
	// for this many bytes of the body. The smallest possible ones take hundreds of times
	// their size in memory; those that platforms send are larger.
	maxOthers    = 100
	bytesOfOther = 32
)

var errNotUTF8 = errors.New("the item is not UTF-8, which every JSON text has to be")

// add adds the event that was decoded from an item. If err is not nil, or the event is
// malformed, it adds a dead letter. An item without a kind is not a click.
func (b *batch) add(e *event, err error) {
	switch {
	case err != nil:
	case e.Kind == "":
		err = b.addOther(e)
	default:
		err = b.addEvent(e)
	}
	if err != nil {
		b.deadLetter(schema.Rejection{Reason: schema.ReasonMalformed, Detail: e.note + describeError(err), Platform: e.Platform}, e.origin, e.body)
	}
}

// addEvent completes an event. The error says why it is malformed.
func (b *batch) addEvent(e *event) error {
	if !b.isUTF8 && !utf8.Valid(e.body) {
		return errNotUTF8
	}
	e.ReceivedAt = b.receivedAt
	if err := b.addRaw(e); err != nil {
		return err
	}
	at, hasTime := parseTime(e.timestamp)
	if !hasTime {
		at = b.receivedAt
	}
	route := e.parsePayload()
	complete, err := schema.New(e.eventID(), at, e.Data)
	if err != nil {
		return err
	}
	b.items = append(b.items, schema.Item{Event: complete, Undated: !hasTime, Route: route, Body: e.body, Origin: e.origin})
	return nil
}

// addRaw adds the platform's item. A click without it is still a click, if the item is not
// safe inside an event. Of other items it is the main part.
func (b *batch) addRaw(e *event) (err error) {
	if !b.includeRaw && e.What == "" {
		return nil
	}
	if e.Raw, err = schema.SafeJSON(e.body); e.What == "" {
		return nil
	}
	return err
}

// ignore counts well-formed items that are not events.
func (b *batch) ignore(platform string, n int) {
	if b.ignored == nil {
		b.ignored = make(map[string]int)
	}
	b.ignored[platform] += n
}

// deadLetter adds a dead letter.
func (b *batch) deadLetter(r schema.Rejection, from schema.Origin, body []byte) {
	if b.malformed++; b.malformed > maxDeadLetters {
		b.surplus++
		return
	}
	if len(r.Detail) > maxDetail {
		r.Detail = strings.ToValidUTF8(r.Detail[:maxDetail], "") + "…"
	}
	r.ReceivedAt = b.receivedAt
	b.items = append(b.items, schema.Item{Rejection: r, Body: body, Origin: from})
}

// Envelope implements [schema.Origin] for a whole body.
func (b *batch) Envelope() schema.Envelope { return schema.Envelope{Account: b.account} }

// deadLetterBody adds a dead letter for a whole body that is not a JSON object.
func (b *batch) deadLetterBody(platform string, body []byte, err error) {
	b.notJSON = true
	b.deadLetter(schema.Rejection{Reason: schema.ReasonNotJSON, Detail: err.Error(), Platform: platform}, b, body)
}

// deadLetterSurplus adds a dead letter for the whole body, which has more than
// maxDeadLetters malformed items or maxOthers items that are not clicks.
func (b *batch) deadLetterSurplus(platform string, body []byte) {
	sort := "malformed items"
	if b.others > b.maxOthers() {
		sort = "items that are malformed or not clicks"
	}
	detail := fmt.Sprintf("%d more %s: the whole delivery is kept", b.surplus, sort)
	b.surplus-- // this dead letter stands for one of them
	b.malformed = 0
	b.deadLetter(schema.Rejection{Reason: schema.ReasonMalformed, Detail: detail, Platform: platform}, b, body)
}
