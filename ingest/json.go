package ingest

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Types for JSON fields that platforms send in several forms. A field that an event
// needs has to have the right type. A field that only adds to it may have any.

// lenient reads errors inside one item without giving up the others: each item is
// validated by itself. RFC 8259 allows duplicate names; see lastMembers.
var lenient = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

// strict is like [lenient], but rejects repeated members.
var strict = []jsontext.Options{jsontext.AllowInvalidUTF8(true)}

// decodeJSON decodes one item into v.
func decodeJSON(body []byte, v any) error {
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

// stringOrInt is a string or an integer: ids come as either. null reads as empty.
type stringOrInt string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *stringOrInt) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch kind := d.PeekKind(); kind {
	case '"', '0':
		sent, err := readString(d)
		if err == nil && kind == '0' && strings.ContainsAny(sent, ".eE") {
			return typeError("has to be a string or an integer")
		}
		*s = stringOrInt(sent)
		return err
	case 'n':
		return d.SkipValue()
	default:
		return typeError("has to be a string, this is a JSON " + kindName(kind))
	}
}

// readString reads a string, or a number as it was sent.
func readString(d *jsontext.Decoder) (string, error) {
	token, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

// timestamp is the text of a number or string. Any other type reads as empty: a click
// with an unusable timestamp is still a click.
type timestamp string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *timestamp) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"', '0':
		sent, err := readString(d)
		*s = timestamp(sent)
		return err
	default:
		return d.SkipValue()
	}
}

// lenientString is a string. Any other type reads as empty: fields of items that are
// not events are not validated.
type lenientString string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *lenientString) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '"' {
		return d.SkipValue()
	}
	sent, err := readString(d)
	*s = lenientString(sent)
	return err
}

// object is a JSON object whose presence makes an item an event. null is present and
// malformed.
type object[T any] struct {
	present bool
	value   T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *object[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	o.present = true
	if kind := d.PeekKind(); kind != '{' {
		return typeError("has to be an object, this is a JSON " + kindName(kind))
	}
	return json.UnmarshalDecode(d, &o.value)
}

// optional is a value that only adds to an event. null, or a value that does not
// decode, is left out: the click matters more.
type optional[T any] struct {
	present bool
	value   T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *optional[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	body, err := d.ReadValue()
	if err != nil || body.Kind() == 'n' {
		return err
	}
	var value T
	if decodeJSON(body, &value) == nil {
		o.present, o.value = true, value
	}
	return nil
}

// typeError says which JSON type was expected.
type typeError string

func (e typeError) Error() string { return string(e) }

// describeError says in terms of JSON what is wrong with an item.
func describeError(err error) string {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return err.Error()
	}
	where := strings.TrimPrefix(string(semantic.JSONPointer), "/")
	if where == "" {
		where = "the item"
	}
	var wrongType typeError
	if errors.As(semantic.Err, &wrongType) {
		return where + " " + wrongType.Error()
	}
	return fmt.Sprintf("%s has to be %s, this is a JSON %s", where, jsonType(semantic.GoType), kindName(semantic.JSONKind))
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.Bool:
		return "a boolean"
	default:
		return "a string"
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case '0':
		return "number"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "value"
	}
}

// isPresent reports whether a member exists and is not null.
func isPresent(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// The bounds of a timestamp: larger numbers than the first are milliseconds, and an
// event's time has a year of four digits (RFC 3339).
const (
	firstMilliseconds = 1e11
	endOfTime         = 253402300800 // seconds: 10000-01-01
)

// parseTime reads a number of seconds or milliseconds since 1970. It returns false
// unless the time is between 1970 and 9999.
func parseTime(sent timestamp) (time.Time, bool) {
	n, err := strconv.ParseFloat(string(sent), 64)
	if err != nil || n < 0 || strings.Trim(string(sent), "0123456789.eE+-") != "" {
		return time.Time{}, false
	}
	if n < firstMilliseconds {
		n *= 1000
	}
	if n >= endOfTime*1000 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(n)).UTC(), true
}
