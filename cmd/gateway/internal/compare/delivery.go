//go:build linux

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

// appSecret signs every delivery.
const appSecret = "compare"

// The parts of a delivery that change from event to event.
const (
	idPrefix       = "m_"
	idDigits       = "00000000000000000000"
	payloadPrefix  = "show_plan:p"
	payloadDigits  = "000000"
	signatureDummy = "0000000000000000000000000000000000000000000000000000000000000000"
)

// deliveries makes signed requests. Every event has a number, and an id with that
// number. All requests are written into one buffer, at the cost of the signature and
// little else.
type deliveries struct {
	events, subjects int
	first            int // number of the first event

	request, signature, body []byte // signature and body are parts of request
	ids, payloads            [][]byte
	mac                      hash.Hash
	made                     int
}

// newDeliveries makes deliveries of so many events each, on so many subjects.
func newDeliveries(events, subjects int) *deliveries {
	clicks := make([]simulate.Click, events)
	for i := range clicks {
		clicks[i] = simulate.Click{
			Account: "682498171943165", User: "1254459154682919", Title: "Enterprise",
			Payload: payloadPrefix + payloadDigits, ID: idPrefix + idDigits,
		}
	}
	body := simulate.Messenger(clicks...)
	head := fmt.Sprintf("POST /webhooks/meta HTTP/1.1\r\nHost: localhost\r\nUser-Agent: compare\r\nContent-Type: application/json\r\n"+
		"X-Hub-Signature-256: sha256=%s\r\nContent-Length: %d\r\n\r\n", signatureDummy, len(body))
	d := &deliveries{events: events, subjects: max(1, subjects), mac: hmac.New(sha256.New, []byte(appSecret))}
	d.request = append([]byte(head), body...)
	d.body = d.request[len(head):]
	d.signature = places(d.request[:len(head)], "", signatureDummy)[0]
	d.ids = places(d.body, idPrefix, idDigits)
	d.payloads = places(d.body, payloadPrefix, payloadDigits)
	return d
}

// places returns the parts of text that hold digits, each after its prefix.
func places(text []byte, prefix, digits string) (found [][]byte) {
	for rest := text; ; {
		at := bytes.Index(rest, []byte(prefix+digits))
		if at < 0 {
			return found
		}
		at += len(prefix)
		found = append(found, rest[at:at+len(digits)])
		rest = rest[at+len(digits):]
	}
}

// next returns the next request and its number. The request is valid until the next call.
func (d *deliveries) next() (request []byte, number int) {
	number = d.made
	d.made++
	for i, id := range d.ids {
		event := d.first + number*d.events + i
		putDigits(id, event)
		putDigits(d.payloads[i], event%d.subjects)
	}
	d.mac.Reset()
	d.mac.Write(d.body)
	var sum [sha256.Size]byte
	hex.Encode(d.signature, d.mac.Sum(sum[:0]))
	return d.request, number
}

// putDigits fills to with n in decimal.
func putDigits(to []byte, n int) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = '0' + byte(n%10)
		n /= 10
	}
}

// eventNumber returns the number in the id of an event; ok says whether there is one.
func eventNumber(id string) (n int, ok bool) {
	if len(id) < len(idDigits) {
		return 0, false
	}
	for _, c := range []byte(id[len(id)-len(idDigits):]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
