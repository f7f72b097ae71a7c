package ingest

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"
	"go.opentelemetry.io/otel/trace"
)

// ServeHTTP implements [http.Handler]. It turns the error of a handler into the
// response and counts the request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, status := time.Now(), http.StatusOK
	req := s.route(r)
	defer req.release()
	if s.cfg.Observer != nil && s.cfg.Observer.Watching() {
		req.trail.watched, req.trail.last = true, start
	}
	err := s.handle(w, req)
	if err != nil {
		p := problemOf(err)
		p.write(w)
		status = p.Status
	}
	s.metrics.countRequest(req.handler, status, time.Since(start))
	s.observe(req, start, status, err)
}

// route finds the webhook and the handler of a request.
func (s *Server) route(r *http.Request) *request {
	req := requests.Get().(*request)
	req.Request, req.handler, req.handle = r, "not_found", respondNotFound
	hook, account := s.exact[r.URL.Path], ""
	if hook == nil {
		// Match, because mux.Router.ServeHTTP copies every request twice and redirects
		// unclean paths.
		match := new(mux.RouteMatch)
		if !s.router.Match(r, match) {
			return req
		}
		hook = s.hooks[match.Route.GetName()]
		account = match.Vars[hook.account]
	}
	if hook.accountExists != nil && !hook.accountExists(s.secrets.Load(), account) {
		return req
	}
	req.hook, req.account = hook, account
	switch {
	case r.Method == http.MethodPost:
		req.handler, req.handle = hook.name, (*Server).deliver
	case r.Method == http.MethodGet && hook.get != nil:
		req.handler, req.handle = hook.name+"_handshake", hook.get
	default:
		req.handler, req.handle = "method_not_allowed", respondMethodNotAllowed
	}
	return req
}

// handle calls the handler and turns a panic into an error. Without it, net/http would
// close the connection, and every other request on it would fail.
func (s *Server) handle(w http.ResponseWriter, r *request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.logPanic(p, r.handler)
		}
	}()
	return r.handle(s, w, r)
}

// logPanic returns the error to answer the request with.
func (s *Server) logPanic(p any, handler string) error {
	s.log.Error("panic while handling a request: this is a fault in the gateway, report it",
		"handler", handler, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return errInternal
}

// deliver processes one POST from a platform. Anybody can send one, so it costs next to
// nothing and is not logged as a delivery until the sender is authenticated.
func (s *Server) deliver(w http.ResponseWriter, r *request) error {
	received := time.Now()
	if err := s.checkHeaders(r); err != nil {
		return err
	}
	checkBody, err := r.hook.authenticate(s.secrets.Load(), r)
	if err != nil {
		return s.reject(r, err)
	}
	body := s.newBody()
	r.trail.body = body // released after the response
	err = s.readBody(w, r, body)
	r.trail.step(&r.trail.steps.Read)
	if checkBody != nil { // not authenticated yet
		if err != nil {
			return err
		}
		err := checkBody(body.bytes)
		r.trail.step(&r.trail.steps.Verify)
		if err != nil {
			return s.reject(r, err)
		}
	}
	d := &r.delivery
	d.hook, d.received, d.trail, r.trail.delivery = r.hook, received, &r.trail, d
	d.account, d.includeRaw = r.account, s.cfg.IncludeRaw
	d.storeOther, d.answerCallbacks = s.cfg.StoreOther, s.cfg.TelegramAnswer
	ctx := r.Context()
	if s.cfg.Tracer != nil {
		ctx = s.startSpan(r, d)
	}
	if err == nil {
		err = s.process(r, d, body)
	}
	return s.respond(ctx, w, d, err)
}

// process decodes a delivery and publishes its items. Only here it occupies a slot.
// The error is what to answer; nil only if every item is stored.
func (s *Server) process(r *request, d *delivery, received *body) (err error) {
	defer func() { // already here, so that the delivery has its log line and its span
		if p := recover(); p != nil {
			err = s.logPanic(p, d.hook.name)
			d.storeErr = err
		}
	}()
	if err := s.slots.take(); err != nil {
		return err
	}
	defer s.slots.release()
	body := received
	if r.Header["Content-Encoding"] != nil {
		if body, err = s.decompress(r, received); err != nil {
			return err
		}
	}
	if len(body.bytes) > firstRead { // the number of deliveries in flight limits the others
		if err := body.reserveDecoded(); err != nil {
			return err
		}
	}
	d.isForwarded = len(s.cfg.Forward) > 0 && s.isForwarded(r)
	d.receivedAt = s.cfg.Now().UTC().Truncate(time.Millisecond)
	d.size, d.isUTF8 = len(body.bytes), utf8.Valid(body.bytes)
	d.hook.decode(&d.batch, body.bytes)
	if d.surplus > 0 {
		d.deadLetterSurplus(d.hook.name, body.bytes)
	}
	if d.isForwarded {
		d.whole = wholeDelivery(r, d, received.bytes)
	}
	d.trail.step(&d.trail.steps.Decode)
	err = s.publish(d)
	d.trail.step(&d.trail.steps.Store)
	return err
}

// publish stores the items of a delivery. It does not stop when the caller hangs up:
// the platform would deliver everything again.
func (s *Server) publish(d *delivery) error {
	items := d.items
	if d.whole != nil {
		items = d.toStore()
	}
	if len(items) > 0 {
		ctx := s.deadlines.next()
		if d.span != nil {
			ctx = trace.ContextWithSpan(ctx, d.span)
		}
		outcomes, err := s.publisher.Publish(ctx, items)
		d.outcomes, d.storeErr = outcomes[:len(d.items)], err
		if d.whole != nil {
			s.logTooLarge(d, outcomes)
		}
	}
	d.count()
	s.metrics.countItems(d)
	s.activity.delivered(d)
	switch {
	case d.storeErr != nil:
		return errStore
	case d.notJSON: // and stored as a dead letter
		return errNotJSON
	default:
		return nil
	}
}

var typeJSON = []string{"application/json"} // of all responses, so never changed

// respond writes the log line and ends the span of a delivery. It answers 200 if err
// is nil; otherwise err is returned as what to answer.
func (s *Server) respond(ctx context.Context, w http.ResponseWriter, d *delivery, err error) error {
	if err == errBusy { // at the rate of an overload
		s.busyLog.Do(func() { s.logDelivery(ctx, d, err) })
	} else {
		s.logDelivery(ctx, d, err)
	}
	if d.span != nil {
		d.endSpan(err)
	}
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = typeJSON
	_, _ = w.Write(d.response()) // an error means that the caller hung up
	return nil
}
