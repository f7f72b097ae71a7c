package schema

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Handler processes one event. The context is the one that was given to
// [Router.Dispatch].
type Handler func(ctx context.Context, e *Event) error

// Router dispatches the events of one consumer, each to at most one handler, and
// returns the filters for which the consumer has to ask. So the filters and the
// code cannot disagree.
//
// Register all handlers first. Afterwards a Router is safe for concurrent use.
// Registering panics if a name is wrong or handled twice, as http.ServeMux does.
type Router struct {
	root      string
	postbacks routes
	referrals routes
	optins    routes
}

// NewRouter returns a router for the events below a subject root, which is
// GATEWAY_SUBJECT_ROOT of the gateway. An empty root is [DefaultRoot].
func NewRouter(root string) *Router { return &Router{root: cmp.Or(root, DefaultRoot)} }

// DefaultRoot is the subject root of a gateway without GATEWAY_SUBJECT_ROOT.
const DefaultRoot = "postback.v1"

// Postback registers a handler for payloads with one of the names. A name is
// written as the bot writes payloads: "plan" takes every payload with this prefix,
// such as plan, plan:pro and plan:{"id":7}; "plan:pro" takes what begins with
// these two pieces. The handler of the longest name wins.
func (r *Router) Postback(h Handler, names ...string) { r.Context("").Postback(h, names...) }

// AnyPostback registers a handler for payloads that no other handler takes.
// Events without a payload never reach it. The consumer asks for all events then.
func (r *Router) AnyPostback(h Handler) { r.Context("").AnyPostback(h) }

// Referral registers a handler for people who followed a link or an ad: for links
// with one of the refs, or for all of them without any. A click that carries a
// referral besides its payload is a postback.
func (r *Router) Referral(h Handler, refs ...string) {
	r.referrals.addNames(h, nil, refs)
}

// Optin registers a handler for opt-ins without a payload: for those with one of
// the refs, or for all of them without any.
func (r *Router) Optin(h Handler, refs ...string) {
	r.optins.addNames(h, nil, refs)
}

// Context returns a part of the router: names are looked for behind the name of
// the context. Context("sales").Postback(h, "buy") takes sales/buy.
func (r *Router) Context(name string) *Context {
	c := &Context{router: r}
	if name != "" {
		c.pieces = mustSplit(name)
	}
	return c
}

// Context is a part of a [Router]. Its methods work as those of the router.
type Context struct {
	router *Router
	pieces []string
}

// Postback registers a handler for payloads with one of the names in this context.
func (c *Context) Postback(h Handler, names ...string) {
	if len(names) == 0 {
		panic("schema: Postback without a name: use AnyPostback")
	}
	c.router.postbacks.addNames(h, c.pieces, names)
}

// AnyPostback registers a handler for payloads in this context that no other
// handler takes.
func (c *Context) AnyPostback(h Handler) { c.router.postbacks.add(h, c.pieces) }

// FilterSubjects returns the subjects for which the consumer has to ask, none of
// which contains another. They match with and without partitions. It returns nil
// if there is no handler; JetStream takes that for a consumer of everything.
func (r *Router) FilterSubjects() []string {
	if r.postbacks.all() {
		return []string{r.root + ".>"} // payloads have any prefix
	}
	var filters []string
	for _, route := range r.postbacks {
		filters = append(filters, r.filters(routeOf(route.pieces), len(route.pieces))...)
	}
	filters = append(filters, r.reserved(r.referrals, RouteReferral)...)
	filters = append(filters, r.reserved(r.optins, RouteOptin)...)
	slices.Sort(filters)
	return slices.DeleteFunc(slices.Compact(filters), func(f string) bool {
		wide := f[:strings.LastIndexByte(strings.TrimSuffix(f, ".*"), '.')+1] + ">"
		return wide != f && slices.Contains(filters, wide)
	})
}

func (r *Router) reserved(all routes, route func(ref string) Route) (filters []string) {
	for _, one := range all {
		filters = append(filters, r.filters(route(strings.Join(one.pieces, ":")), len(one.pieces)+1)...)
	}
	return filters
}

// filters returns those for a route of which the first tokens count. A subject
// with partitions has one more token.
func (r *Router) filters(route Route, tokens int) []string {
	prefix := r.root + ".*.*." + route.Prefix
	if tokens == 1 {
		return []string{prefix + ".>"}
	}
	return []string{prefix + "." + route.Action, prefix + "." + route.Action + ".*"}
}

// Dispatch calls the handler of the event and returns its error. It returns false
// if no handler takes the event: acknowledge it.
func (r *Router) Dispatch(ctx context.Context, e *Event) (handled bool, err error) {
	h := r.handler(e)
	if h == nil {
		return false, nil
	}
	return true, h(ctx, e)
}

func (r *Router) handler(e *Event) Handler {
	switch p := e.Data.Payload; {
	case p != nil:
		return r.postbacks.find(p.pieces())
	case e.Data.Kind == KindReferral:
		return r.referrals.find(e.Data.Referral.pieces())
	case e.Data.Kind == KindOptin:
		return r.optins.find(e.Data.Referral.pieces())
	default:
		return nil
	}
}

// routes are handlers by the pieces with which a payload or a ref begins.
type routes []handlerRoute

type handlerRoute struct {
	pieces []string
	handle Handler
}

func (all *routes) addNames(h Handler, context, names []string) {
	if len(names) == 0 {
		all.add(h, context)
	}
	for _, name := range names {
		all.add(h, slices.Concat(context, mustSplit(name)))
	}
}

func (all *routes) add(h Handler, pieces []string) {
	for _, route := range *all {
		if slices.Equal(route.pieces, pieces) {
			panic(fmt.Sprintf("schema: %q has two handlers", strings.Join(pieces, "/")))
		}
	}
	*all = append(*all, handlerRoute{pieces, h})
}

// all reports whether there is a handler for everything.
func (all routes) all() bool {
	return slices.ContainsFunc(all, func(r handlerRoute) bool { return len(r.pieces) == 0 })
}

// find returns the handler with the most pieces, nil if there is none.
func (all routes) find(pieces []string) (best Handler) {
	longest := -1
	for _, route := range all {
		n := len(route.pieces)
		if n > longest && n <= len(pieces) && slices.Equal(route.pieces, pieces[:n]) {
			longest, best = n, route.handle
		}
	}
	return best
}

// mustSplit returns the pieces of a name.
func mustSplit(name string) []string {
	p, _ := ParsePayload(name)
	if p.Prefix == "" || p.Params != nil {
		panic(fmt.Sprintf("schema: %q is not the name of a payload: expected one like plan, plan:pro or sales/buy", name))
	}
	return p.pieces()
}

func routeOf(pieces []string) Route {
	route := Route{Prefix: pieceToken(pieces[0]), Action: tokenNone}
	if len(pieces) > 1 {
		route.Action = actionToken(pieces[1])
	}
	return route
}

// pieces returns those of the payload's name. A payload without a name has none.
func (p *Payload) pieces() []string { return join(p.Prefix, p.Action, p.Rest) }

func (r *Referral) pieces() []string {
	if r == nil {
		return nil
	}
	return join(splitName(r.Ref))
}

func join(prefix, action string, rest []string) []string {
	switch {
	case prefix == "":
		return nil
	case action == "":
		return []string{prefix}
	default:
		return append([]string{prefix, action}, rest...)
	}
}
