package schema

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
)

// DeliveryRoot stands before the subject root in the subject of a [Delivery].
const DeliveryRoot = "delivery."

// Delivery is a whole request of a platform as it was received. It is stored to be posted
// to a bot that processes everything the platform sends.
type Delivery struct {
	Webhook string
	// Account is empty if the delivery is of several accounts, or names none.
	Account string
	// Header has the platform's own headers, which a bot may verify the body with.
	Header map[string][]string
	Body   []byte
	// ReceivedAt is when the gateway received it. It is not stored: a message has the time
	// at which it was stored.
	ReceivedAt time.Time
	// Again is the id of the dead letter that is posted again; empty for a new delivery.
	Again string
}

// SecretHeader carries the secret token of a Telegram bot. Dead letters do not have it.
const SecretHeader = "X-Telegram-Bot-Api-Secret-Token"

// Envelope implements [Origin].
func (d *Delivery) Envelope() Envelope {
	header := make(map[string][]string, len(d.Header))
	for name, values := range d.Header {
		if name != SecretHeader {
			header[name] = values
		}
	}
	return Envelope{Account: d.Account, Header: header}
}

const (
	// platformHeader precedes the name of each header in the stored message, so that no
	// platform can send a header that NATS understands.
	platformHeader = "Platform-"
	// storedEncodingHeader says how the gateway has encoded the body of the message.
	storedEncodingHeader = "Stored-Encoding"
	encodingGzip         = "gzip"
)

// DeliverySubject returns delivery.<root>.<webhook>.<account>, with _ for no account.
func DeliverySubject(root, webhook, account string) string {
	token := EscapeToken(account)
	if token == "" {
		token = tokenNone
	}
	return strings.Join([]string{DeliveryRoot + root, webhook, token}, ".")
}

// NatsMsgID is the same each time the platform delivers the same body: the bot gets it
// once. One that is posted again has another id.
func (d *Delivery) NatsMsgID() string {
	if d.Again != "" {
		return DeliveryRoot + "again:" + d.Again
	}
	sum := sha256.Sum256(d.Body)
	return strings.Join([]string{strings.TrimSuffix(DeliveryRoot, "."), d.Webhook, d.Account, hex.EncodeToString(sum[:])}, ":")
}

// message returns the delivery as it is stored. It is compressed only if it is too large:
// platforms send JSON of several MiB, which then takes a tenth.
func (d *Delivery) message(root string, limit int) (Message, error) {
	m := Message{
		Subject:     DeliverySubject(root, d.Webhook, d.Account),
		ID:          d.NatsMsgID(),
		ContentType: "application/octet-stream",
		Header:      make(map[string][]string, len(d.Header)),
		Data:        d.Body,
	}
	for name, values := range d.Header {
		m.Header[platformHeader+name] = values
	}
	if m.Size() <= limit {
		return m, nil
	}
	m.Header[storedEncodingHeader] = []string{encodingGzip}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(d.Body)
	if err == nil {
		err = z.Close()
	}
	m.Data = b.Bytes()
	return m, err
}

// DecodeDelivery returns what was stored: headers and body, without Webhook and Account.
// The error says that the message is not a stored delivery.
func DecodeDelivery(header map[string][]string, data []byte) (*Delivery, error) {
	d := &Delivery{Header: make(map[string][]string), Body: data}
	for name, values := range header {
		if own, ok := strings.CutPrefix(name, platformHeader); ok {
			d.Header[own] = values
		}
	}
	encoding := header[storedEncodingHeader]
	if len(encoding) == 0 {
		return d, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err == nil {
		d.Body, err = io.ReadAll(z)
	}
	if err != nil {
		return nil, fmt.Errorf("the body cannot be decompressed: %w", err)
	}
	return d, nil
}
