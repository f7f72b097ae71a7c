package ingest

import (
	"bytes"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// JSON allows members with the same name in one object, and nearly all parsers take
// the last one. Decoders into structs merge them: of two postbacks came a click with
// the id of one and the payload of the other. So an item with repeated members is
// decoded again, without all but the last. No platform sends any, and the search for
// them costs time only where decoding fails.
//
// Around the items walkers do the same, with one exception: of lists that are repeated
// all items are read. Each of them is whole, and better one too many than a lost click.

// strict refuses repeated members; in all else it is as [lenient].
var strict = []jsontext.Options{jsontext.AllowInvalidUTF8(true)}

// decode reads one element into v.
func decode(body []byte, v any) error {
	err := json.Unmarshal(body, v, strict...)
	if err == nil {
		return nil
	}
	once, repeated := lastMembers(body)
	if !repeated {
		return err
	}
	reflect.ValueOf(v).Elem().SetZero()
	return json.Unmarshal(once, v, lenient...)
}

// lastMembers returns a copy of JSON in which of the members with the same name only
// the last is left: the others are overwritten with spaces, so that offsets stay the
// same. It reports whether there were any. It ends at a syntax error.
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
				r.name(token.String(), end)
			}
		}
	}
	return r.once, r.once != nil
}

type repeatedMembers struct {
	body    []byte
	dec     *jsontext.Decoder
	objects []objectMembers // that are open, the innermost last
	once    []byte          // nil until something is repeated
}

// objectMembers are the last members of each name so far.
type objectMembers struct {
	spans map[string]span
	open  string // the name of the member that is being read
}

// span is a member with the comma behind it.
type span struct{ start, end int }

// name begins a member; end is where the token before it ends.
func (r *repeatedMembers) name(name string, end int) {
	start := end
	for r.body[start] != '"' {
		start++ // white space, a comma
	}
	object := &r.objects[len(r.objects)-1]
	if before, found := object.spans[object.open]; found {
		before.end = start
		object.spans[object.open] = before
	}
	if earlier, found := object.spans[name]; found {
		r.blank(earlier)
	}
	object.spans[name], object.open = span{start: start}, name
}

func (r *repeatedMembers) blank(s span) {
	if r.once == nil {
		r.once = bytes.Clone(r.body)
	}
	for i := s.start; i < s.end; i++ {
		r.once[i] = ' '
	}
}
