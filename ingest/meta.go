package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"
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
		s.handshakeRefusals.Do(func() {
			s.log.Warn("handshake refused: the verify token does not match GATEWAY_META_VERIFY_TOKEN; enter the same one in the app's webhook settings")
		})
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
	began := time.Now()
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
	ctx, d := s.begin(r, labelMeta, began)
	err := s.takeIn(ctx, d, body, func(b *batch) { b.readMeta(body.bytes) })
	return s.conclude(ctx, w, d, err)
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
	if err == nil {
		live.verifiedMeta[place-1].Inc()
		return nil
	}
	switch {
	case !canDiagnose(body):
		s.refuseSignature(r, reasonMismatch)
	case s.diagnoses.Allow():
		s.refuseSignature(r, live.verifier.diagnose(r.Header, body))
	default:
		// Not logged: the reason may be a better one, which a request that was
		// diagnosed a moment ago has told.
		s.countSignatureFailure(reasonMismatch)
	}
	return errSignature
}

func (s *Server) refuseSignature(r *http.Request, reason signatureError) {
	s.countSignatureFailure(reason)
	s.refusals.write(reason, r.RemoteAddr)
}

func (s *Server) countSignatureFailure(reason signatureError) {
	s.metrics.signatureFailures.WithLabelValues(labelMeta, string(reason)).Inc()
}
