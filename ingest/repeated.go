package ingest

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON allows several members with the same name in one object, and nearly all parsers
// use the last one. Decoding into a struct merges them: two postbacks would become one
// click with the id of the first and the payload of the second. So an item with repeated
// members is decoded again from a copy that has only the last of each. No platform sends
// them, and looking for them costs time only if decoding fails.
//
// Around the items walkers do the same, with one exception: if a list is repeated, the
// items of both are read. One item too many is better than a lost click.

// lastMembers returns a copy of JSON that has only the last of the members with one
// name. Spaces replace the others, so offsets stay the same. It reports whether there
// were any, and stops at a syntax error.
func lastMembers(body []byte) (once []byte, repeated bool) {
	r := repeatedMembers{body: body, dec: jsontext.NewDecoder(bytes.NewBuffer(body), lenient...)}
	for {
		end := int(r.dec.InputOffset())
		token, err := r.dec.ReadToken()
		if err != nil {
			break
		}
		switch token.Kind() {
		case '{':
			r.objects = append(r.objects, objectMembers{spans: make(map[string]span)})
		case '}':
			r.objects = r.objects[:len(r.objects)-1]
		case '"':
			if kind, length := r.dec.StackIndex(r.dec.StackDepth()); kind == '{' && length%2 == 1 {
				r.startMember(token.String(), end)
			}
		}
	}
	return r.once, r.once != nil
}

type repeatedMembers struct {
	body    []byte
	dec     *jsontext.Decoder
	objects []objectMembers // those being read, the innermost last
	once    []byte          // nil until a member is repeated
}

// objectMembers are the last member of each name so far.
type objectMembers struct {
	spans   map[string]span
	current string // the name of the member that is being read
}

// span is where a member and its comma are.
type span struct{ start, end int }

// startMember starts a member. end is where the token before it ends.
func (r *repeatedMembers) startMember(name string, end int) {
	start := end
	for r.body[start] != '"' {
		start++ // white space, a comma
	}
	object := &r.objects[len(r.objects)-1]
	if before, found := object.spans[object.current]; found {
		before.end = start
		object.spans[object.current] = before
	}
	if earlier, found := object.spans[name]; found {
		r.blank(earlier)
	}
	object.spans[name], object.current = span{start: start}, name
}

func (r *repeatedMembers) blank(s span) {
	if r.once == nil {
		r.once = bytes.Clone(r.body)
	}
	for i := s.start; i < s.end; i++ {
		r.once[i] = ' '
	}
}
