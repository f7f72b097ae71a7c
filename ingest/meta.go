package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"github.com/postback-gateway/gateway/schema"
)

// labelMeta is the platform in metrics where the body has not been read yet.
const labelMeta = "meta"

// handshake answers the request by which Meta checks who owns the endpoint
// ("Webhooks: Getting Started", Verification Requests).
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	mode, token, challenge := q.Get("hub.mode"), q.Get("hub.verify_token"), q.Get("hub.challenge")
	switch {
	case mode != "subscribe" || token == "" || challenge == "":
		return errHandshake
	case !sameText(token, s.live.Load().MetaVerifyToken):
		s.log.Warn("handshake refused: the verify token does not match GATEWAY_META_VERIFY_TOKEN; enter the same one in the app's webhook settings")
		return errVerifyToken
	}
	s.log.Info("handshake answered: Meta can deliver to this webhook")
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	_, err := w.Write([]byte(challenge))
	return ignoreWrite(err)
}

// sameText compares in constant time, whatever the lengths.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// ignoreWrite: the caller has gone away, and there is nobody left to tell.
func ignoreWrite(error) error { return nil }

// metaDelivery takes one POST of Meta from its first byte to the answer. What
// comes before the signature is verified costs anybody's request next to nothing.
func (s *Server) metaDelivery(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return errDraining
	}
	if err := s.checkHead(r); err != nil {
		return err
	}
	if err := s.checkSigned(r); err != nil {
		return err
	}
	body := s.newBody()
	defer body.release()
	if err := s.readBody(w, r, body); err != nil {
		return err
	}
	if err := s.checkSignature(r, body.bytes); err != nil {
		return err
	}
	return s.takeIn(w, r, body, func(b *batch) { b.readMeta(body.bytes) })
}

// takeIn stores what read finds in a body whose sender has proved who it is, and
// answers. Only here a delivery takes a slot.
func (s *Server) takeIn(w http.ResponseWriter, r *http.Request, body *body, read func(*batch)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := body.takeApart(); err != nil {
		return err
	}
	b := s.newBatch()
	read(b)
	return s.store(w, r, b)
}

// newBatch is called when the delivery has been read: that is the receipt.
func (s *Server) newBatch() *batch {
	return &batch{receivedAt: s.cfg.Now().UTC().Truncate(time.Millisecond), includeRaw: s.cfg.IncludeRaw}
}

// checkSigned refuses a request without a usable signature before its body is read.
func (s *Server) checkSigned(r *http.Request) error {
	_, err := readSignature(r.Header)
	var reason signatureError
	if !errors.As(err, &reason) || reason == reasonMissing && s.cfg.MetaAllowUnsigned {
		return nil
	}
	s.refuseSignature(r, reason)
	return errSignature
}

func (s *Server) checkSignature(r *http.Request, body []byte) error {
	if s.cfg.MetaAllowUnsigned && r.Header.Get(headerSignature) == "" {
		return nil
	}
	live := s.live.Load()
	place, err := live.verifier.verify(r.Header, body)
	if err != nil {
		s.refuseSignature(r, live.verifier.diagnose(r.Header, body))
		return errSignature
	}
	live.verifiedMeta[place-1].Inc()
	return nil
}

func (s *Server) refuseSignature(r *http.Request, reason signatureError) {
	s.metrics.signatureFailures.WithLabelValues(labelMeta, string(reason)).Inc()
	s.refusals.write(reason, r.RemoteAddr)
}

// store publishes the batch and answers: 200 only when every item is stored. A
// body that is no JSON is stored like any other dead letter and then refused.
func (s *Server) store(w http.ResponseWriter, r *http.Request, b *batch) error {
	outcomes, err := s.publish(r.Context(), b.items)
	s.metrics.countItems(b, outcomes)
	if err == nil {
		s.metrics.countIgnored(b)
	}
	t := tally(b, outcomes)
	s.logDelivery(r.Context(), b, t, err)
	switch {
	case err != nil:
		return errStore
	case b.notJSON:
		return errNotJSON
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(t.json())
	return ignoreWrite(err)
}

// publish goes on when the caller hangs up: what is stored now is a duplicate
// when it is delivered again, and one round trip less.
func (s *Server) publish(ctx context.Context, items []schema.Item) ([]schema.Outcome, error) {
	if len(items) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.PublishTimeout)
	defer cancel()
	return s.pub.Publish(ctx, items)
}
