package schema

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Handler processes one event. The context is that of [Router.Dispatch].
type Handler func(ctx context.Context, e *Event) error

// Router dispatches the events of one consumer, each to at most one handler. It also
// returns the consumer's filter subjects, so that filters and code cannot disagree.
//
// Register all handlers first. Afterwards a Router is safe for concurrent use. As with
// http.ServeMux, registering panics if a name is invalid or has two handlers.
type Router struct {
	root      string
	postbacks routes
	referrals routes
	optins    routes
	forms     routes // by kind
	identity  routes // at most one
}

// NewRouter returns a router for events below the gateway's subject root. An empty root is
// [DefaultRoot], which a gateway has unless another one is configured.
func NewRouter(root string) *Router { return &Router{root: cmp.Or(root, DefaultRoot)} }

// DefaultRoot is the subject root of a gateway that does not configure another one.
const DefaultRoot = "postback.v1"

// Postback registers a handler for payloads with one of the names. Names are written like
// payloads: "plan" matches every payload with this prefix, such as plan, plan:pro and
// plan:{"id":7}. "plan:pro" matches payloads that start with these two pieces. The handler
// with the longest name is called.
func (r *Router) Postback(h Handler, names ...string) { r.Context("").Postback(h, names...) }

// AnyPostback registers a handler for payloads without another handler. It does not get
// events without a payload. The filter subjects then match all events.
func (r *Router) AnyPostback(h Handler) { r.Context("").AnyPostback(h) }

// Referral registers a handler for people who followed a link or an ad with one of the
// refs. Without refs it gets all of them. A click with a payload and a referral is a
// postback.
func (r *Router) Referral(h Handler, refs ...string) {
	r.referrals.addNames(h, nil, refs)
}

// Optin registers a handler for opt-ins without a payload that have one of the refs, and
// for opt-outs ("stop") and renewed opt-ins ("resume"), whatever payload they have.
// Without refs it gets all of these.
func (r *Router) Optin(h Handler, refs ...string) {
	r.optins.addNames(h, nil, refs)
}

// Form registers a handler for what people entered into forms of one of the kinds:
// [KindFlow], [KindForm] and [KindWebApp]. Without kinds it gets all of them. A form without
// a handler is one for AnyPostback. What a Mini App sent is only a form if it is JSON;
// other text is the payload of a postback.
func (r *Router) Form(h Handler, kinds ...Kind) {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		if !slices.Contains(formKinds, kind) {
			panic(fmt.Sprintf("schema: %q is not a kind of form: expected one of %q", kind, formKinds))
		}
		names[i] = string(kind)
	}
	r.forms.addNames(h, nil, names)
}

// Identity registers a handler for people whose id or number has changed.
func (r *Router) Identity(h Handler) { r.identity.add(h, nil) }

// Context returns a part of the router whose names follow the name of the context.
// Context("sales").Postback(h, "buy") handles sales/buy.
func (r *Router) Context(name string) *Context {
	c := &Context{router: r}
	if name != "" {
		c.pieces = mustSplit(name)
	}
	return c
}

// Context is a part of a [Router].
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

// AnyPostback registers a handler for payloads in this context without another handler.
func (c *Context) AnyPostback(h Handler) { c.router.postbacks.add(h, c.pieces) }

// FilterSubjects returns the filter subjects for the consumer. They do not overlap, and
// they match with and without partitions. Without a handler it returns nil, which JetStream
// takes for a consumer of everything.
func (r *Router) FilterSubjects() []string { return r.filterSubjects("") }

// PartitionFilterSubjects returns the filter subjects for a consumer of one partition, from 0
// on. They match nothing unless the gateway has more partitions than that.
func (r *Router) PartitionFilterSubjects(partition int) []string {
	token := partitionToken(partition)
	if !IsPartition(token) {
		panic(fmt.Sprintf("schema: %d is not a partition: expected 0 to %d", partition, MaxPartitions-1))
	}
	return r.filterSubjects(token)
}

func (r *Router) filterSubjects(partition string) (filters []string) {
	all := r.tokens()
	for i, t := range all {
		covered := slices.Contains(all[:i], t) ||
			slices.ContainsFunc(all, func(o Tokens) bool { return o != t && o.covers(t) })
		if !covered {
			t.Partition = partition
			filters = append(filters, t.Filters(r.root)...)
		}
	}
	slices.Sort(filters)
	return filters
}

// tokens returns those of the events of each handler.
func (r *Router) tokens() (all []Tokens) {
	for _, one := range r.postbacks {
		var t Tokens
		if len(one.pieces) > 0 {
			t.Prefix = pieceToken(one.pieces[0])
		}
		if len(one.pieces) > 1 {
			t.Action = actionToken(one.pieces[1])
		}
		all = append(all, t)
	}
	all = append(all, r.referrals.tokens(RouteReferral)...)
	all = append(all, r.optins.tokens(func(ref string) Route { return RouteOptin(&Referral{Ref: ref}) })...)
	all = append(all, r.forms.tokens(func(kind string) Route { return routeForm(Kind(kind)) })...)
	return append(all, r.identity.tokens(func(string) Route { return RouteIdentity() })...)
}

// tokens returns those of the events with a reserved prefix.
func (all routes) tokens(route func(name string) Route) (tokens []Tokens) {
	for _, one := range all {
		to := route(strings.Join(one.pieces, ":"))
		t := Tokens{Prefix: to.Prefix}
		if len(one.pieces) > 0 {
			t.Action = to.Action
		}
		tokens = append(tokens, t)
	}
	return tokens
}

// Dispatch calls the handler of the event and returns its error. It returns false if the
// event has no handler: acknowledge it then.
func (r *Router) Dispatch(ctx context.Context, e *Event) (handled bool, err error) {
	h := r.handler(e)
	if h == nil {
		return false, nil
	}
	return true, h(ctx, e)
}

func (r *Router) handler(e *Event) Handler {
	p, referral := e.Data.Payload, e.Data.Referral
	if e.Data.IsForm() {
		if h := r.forms.find([]string{string(e.Data.Kind)}); h != nil {
			return h
		}
	}
	switch kind := e.Data.Kind; {
	case kind == KindOptin && (p == nil || referral.OptinAction() != ""):
		return r.optins.find(referral.optinPieces())
	case kind == KindIdentity:
		return r.identity.find(nil)
	case p != nil:
		return r.postbacks.find(p.pieces())
	case kind == KindReferral:
		return r.referrals.find(referral.pieces())
	default:
		return nil
	}
}

// routes are handlers by the first pieces of a payload or a ref.
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

// pieces returns the pieces of the payload's name.
func (p *Payload) pieces() []string { return join(p.Prefix, p.Action, p.Rest) }

func (r *Referral) pieces() []string { return join(splitName(r.ref())) }

// optinPieces returns those of an opt-in.
func (r *Referral) optinPieces() []string {
	if action := r.OptinAction(); action != "" {
		return []string{action}
	}
	return r.pieces()
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
