package schema

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Reason says why an item became a dead letter.
type Reason string

// The reasons.
const (
	ReasonNotJSON   Reason = "not_json"       // the body is not a JSON object
	ReasonMalformed Reason = "malformed_item" // the item lacks what an event needs
	ReasonTooLarge  Reason = "too_large"      // the event is larger than the server or the stream accepts
	// ReasonNotRelayed is for a message of another program that is not an event and that
	// the cluster does not accept.
	ReasonNotRelayed Reason = "not_relayed"
	// ReasonNotForwarded is for a whole delivery that the existing bot did not accept.
	ReasonNotForwarded Reason = "not_forwarded"
)

// DeadLetterRoot precedes the subject root in the subject of a dead letter.
const DeadLetterRoot = "deadletter."

// The encodings of a dead letter's body.
const (
	encodingUTF8   = "utf-8"
	encodingBase64 = "base64"
)

// DeadLetter keeps an item that could not become an event, so that nothing is lost. Fix the
// cause, then replay it.
type DeadLetter struct {
	Reason     Reason    `json:"reason"`
	Detail     string    `json:"detail"`
	ReceivedAt time.Time `json:"received_at"`
	Platform   string    `json:"platform"`
	// Encoding of Body: "utf-8" (as it is) or "base64".
	Encoding string `json:"encoding"`
	// Length and SHA256 (hex) are of the whole body, in bytes.
	Length int    `json:"length"`
	SHA256 string `json:"sha256"`
	// Truncated reports that Body is only the beginning.
	Truncated bool   `json:"truncated"`
	Body      string `json:"body"`
	Envelope
}

// Envelope is what a replay needs of a delivery beside the item. A truncated dead letter
// has none.
type Envelope struct {
	// Account is the bot in the path of the webhook, or the account of a forwarded delivery.
	Account string `json:"account,omitempty"`
	// Header is set if Body is a whole delivery for an existing bot: the platform's headers.
	Header map[string][]string `json:"header,omitempty"`
	// Before and After stand around Body in a delivery that has no other item.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Origin knows the delivery that an item came in. It is asked only about dead letters.
type Origin interface{ Envelope() Envelope }

// Subject returns deadletter.<root>.<platform>.<reason>.
func (d *DeadLetter) Subject(root string) string {
	return DeadLetterRoot + root + "." + d.Platform + "." + string(d.Reason)
}

// NatsMsgID is the same for every delivery of the same body.
func (d *DeadLetter) NatsMsgID() string {
	return strings.TrimSuffix(DeadLetterRoot, ".") + ":" + d.Platform + ":" + string(d.Reason) + ":" + d.SHA256
}

// IsForwarded reports whether the dead letter is a whole delivery for an existing bot.
func (d *DeadLetter) IsForwarded() bool {
	return d.Reason == ReasonNotForwarded || d.Header != nil
}

// Delivery returns the item in a delivery of its own.
func (d *DeadLetter) Delivery() ([]byte, error) {
	body, err := d.Bytes()
	if err != nil || d.Before == "" {
		return body, err
	}
	return slices.Concat([]byte(d.Before), body, []byte(d.After)), nil
}

// Bytes returns Body decoded. The error says that Body does not have its Encoding.
func (d *DeadLetter) Bytes() ([]byte, error) {
	if d.Encoding == encodingBase64 {
		return base64.StdEncoding.DecodeString(d.Body)
	}
	return []byte(d.Body), nil
}

// deadLetter returns a dead letter whose Body [DeadLetter.encode] sets.
func deadLetter(r Rejection, from Origin, body []byte) *DeadLetter {
	sum := sha256.Sum256(body)
	encoding := encodingUTF8
	if !utf8.Valid(body) {
		encoding = encodingBase64
	}
	d := &DeadLetter{
		Reason: r.Reason, Detail: r.Detail, ReceivedAt: r.ReceivedAt, Platform: r.Platform,
		Encoding: encoding, Length: len(body), SHA256: hex.EncodeToString(sum[:]),
	}
	if from != nil {
		d.Envelope = from.Envelope()
	}
	return d
}

// message returns the dead letter as it is stored, with as much of body as fits into limit
// bytes, header included.
func (d *DeadLetter) message(root string, body []byte, limit int) (Message, error) {
	m := Message{
		Subject:     d.Subject(root),
		ID:          d.NatsMsgID(),
		ContentType: dataContentType,
		DeadLetter:  d.Reason,
	}
	var err error
	m.Data, err = d.encode(body, limit-m.Size())
	return m, err
}

// encode returns the dead letter with as much of body as fits into limit bytes. If the
// rest is too large already, there is no body.
func (d *DeadLetter) encode(body []byte, limit int) ([]byte, error) {
	for keep := max(0, min(len(body), limit)); ; {
		d.setBody(body[:keep])
		if d.Truncated = d.Length > keep; d.Truncated {
			d.Envelope = Envelope{} // of no use without the whole body
		}
		out, err := encode(d)
		if err != nil || len(out) <= limit || keep == 0 {
			return out, err
		}
		// Escapes and base64 make the text longer than the bytes: drop at least the excess,
		// in proportion, until it fits.
		keep = min(keep-1, keep*limit/len(out))
	}
}

func (d *DeadLetter) setBody(body []byte) {
	if d.Encoding == encodingBase64 {
		d.Body = base64.StdEncoding.EncodeToString(body)
		return
	}
	// It may end with a part of a character.
	d.Body = strings.ToValidUTF8(string(body), "")
}
