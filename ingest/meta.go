package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"github.com/postback-gateway/gateway/schema"
)

// labelMeta is the name of Meta's webhook.
const labelMeta = schema.UnknownPlatform

// handshake answers the request by which Meta checks who owns the endpoint
// ("Webhooks: Getting Started", Verification Requests).
func (s *Server) handshake(w http.ResponseWriter, r *request) error {
	q := r.URL.Query()
	mode, token, challenge := q.Get("hub.mode"), q.Get("hub.verify_token"), q.Get("hub.challenge")
	switch {
	case mode != "subscribe" || token == "" || challenge == "":
		s.hintMangled(r, q)
		return errHandshake
	case !equalText(token, s.secrets.Load().MetaVerifyToken):
		s.activity.handshake(r, false)
		s.handshakeLog.Do(func() {
			s.log.Warn("handshake refused: the verify token is not the configured one; enter the same token in the app's webhook settings and in the gateway's configuration")
		})
		return errVerifyToken
	}
	s.activity.handshake(r, true)
	s.log.Info("handshake answered: Meta can deliver to this webhook")
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(challenge)) // an error means that the caller hung up
	return nil
}

// equalText compares in constant time, whatever the lengths.
func equalText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// metaPlatform is a platform that delivers to Meta's webhook.
type metaPlatform struct {
	name string
	// decode adds everything in an item to the batch.
	decode func(b *batch, item *rawItem, p *metaPlatform)
	// account chooses the account's id for decodeMessaging.
	account func(entryID, recipientID string) string
}

// The objects of deliveries.
const (
	objectPage      = "page"
	objectInstagram = "instagram"
	objectWhatsApp  = "whatsapp_business_account"
)

// metaPlatforms is the table of Meta's platforms, by the object of a delivery.
var metaPlatforms = map[string]*metaPlatform{
	objectPage:      &messenger,
	objectInstagram: &instagram,
	objectWhatsApp:  &whatsapp,
}

// decodeMeta decodes a delivery to Meta's webhook.
func decodeMeta(b *batch, body []byte) {
	envelopes, err := readEnvelopes(body)
	if err != nil {
		b.deadLetterBody(schema.UnknownPlatform, body, err)
		return
	}
	for i := range envelopes {
		decodeEnvelope(b, &envelopes[i])
	}
}

func decodeEnvelope(b *batch, e *envelope) {
	object := e.object
	if object == "" && len(e.items) == 1 && e.items[0].list == listSample {
		object = objectOfSample(e.items[0].body)
	}
	name := schema.UnknownPlatform
	platform := metaPlatforms[object]
	if platform != nil {
		name = platform.name
	}
	for i := range e.items {
		item := &e.items[i]
		item.object = e.object
		if b.isForwarded {
			b.noteEntry(item.entryID)
		}
		switch {
		case item.fault != "":
			b.deadLetter(schema.Rejection{Reason: schema.ReasonMalformed, Detail: item.fault, Platform: name}, item, item.body)
		case platform == nil:
			e := event{body: item.body, describe: item.describe, origin: item}
			e.Platform = name
			b.add(&e, nil)
		default:
			platform.decode(b, item, platform)
		}
	}
}

// objectOfSample guesses the object of a sample of the Test button, which names none.
// Messenger and Instagram share most fields; those count as a page's.
func objectOfSample(body []byte) string {
	var sample struct {
		Field lenientString `json:"field"`
		Value struct {
			Product lenientString `json:"messaging_product"`
		} `json:"value"`
	}
	switch err := decodeJSON(body, &sample); {
	case err != nil:
	case sample.Value.Product == "whatsapp":
		return objectWhatsApp
	case sample.Field == fieldInstagramReferral:
		return objectInstagram
	}
	return objectPage
}
