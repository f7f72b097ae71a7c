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

// Types for the fields of the platforms' JSON, where one field comes in several
// forms. Like every decoder here they are strict about what an event needs.

// text is a string, or an integer: ids come as either.
type text string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch kind := d.PeekKind(); kind {
	case '"', '0':
		sent, err := readText(d)
		if err == nil && kind == '0' && strings.ContainsAny(sent, ".eE") {
			return shapeError("has to be a string or an integer")
		}
		*t = text(sent)
		return err
	case 'n':
		return d.SkipValue()
	default:
		return shapeError("has to be a string, this is a JSON " + kindName(kind))
	}
}

// readText reads a string, or a number as it was sent.
func readText(d *jsontext.Decoder) (string, error) {
	token, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

// stamp is a timestamp as it was sent: the text of a number or string, or
// nothing. A click with a timestamp of no use is a click all the same.
type stamp string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *stamp) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"', '0':
		sent, err := readText(d)
		*s = stamp(sent)
		return err
	default:
		return d.SkipValue()
	}
}

// hint is a string that tells what an element is. Anything but a string tells
// nothing: what is no interaction may look as it likes.
type hint string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (h *hint) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '"' {
		return d.SkipValue()
	}
	sent, err := readText(d)
	*h = hint(sent)
	return err
}

// shapeError says what a field has to be, and is not.
type shapeError string

func (e shapeError) Error() string { return string(e) }

// member is an object whose presence makes an element an interaction. There is a
// difference between one that is missing and one that is null.
type member[T any] struct {
	present bool
	value   T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *member[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	m.present = true
	if kind := d.PeekKind(); kind != '{' {
		return shapeError("has to be an object, this is a JSON " + kindName(kind))
	}
	return json.UnmarshalDecode(d, &m.value)
}

// aside is a value that only adds to an interaction. One that is not of the form
// expected is left out: the click matters more than what stands around it.
type aside[T any] struct {
	known bool
	value T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom. null stands for none.
func (a *aside[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	body, err := d.ReadValue()
	if err != nil || body.Kind() == 'n' {
		return err
	}
	var value T
	if decode(body, &value) == nil {
		a.known, a.value = true, value
	}
	return nil
}

// describe says in the words of JSON what is wrong with an element.
func describe(err error) string {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return err.Error()
	}
	where := strings.TrimPrefix(string(semantic.JSONPointer), "/")
	if where == "" {
		where = "the item"
	}
	var shape shapeError
	if errors.As(semantic.Err, &shape) {
		return where + " " + shape.Error()
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

// The bounds of a timestamp: from this number on it is in milliseconds, and an
// event's time has a year of four digits (RFC 3339).
const (
	firstMilliseconds = 1e11
	endOfTime         = 253402300800 // seconds: 10000-01-01
)

// moment returns when a platform says that something happened: a number of
// seconds or milliseconds since 1970. It is false where that makes no time
// between 1970 and 9999.
func moment(sent stamp) (time.Time, bool) {
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
