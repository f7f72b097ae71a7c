package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// variable is one setting with what its tags say.
type variable struct {
	name, kind, standard, meaning string
	field                         reflect.Value
}

// variables lists the settings in their order.
func (s *settings) variables() []variable {
	value := reflect.ValueOf(s).Elem()
	var all []variable
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		v := variable{
			name:     field.Tag.Get("envconfig"),
			kind:     kindOf(field),
			standard: field.Tag.Get("default"),
			meaning:  field.Tag.Get("desc"),
			field:    value.Field(i),
		}
		if v.fileToo() {
			v.kind += " (or " + fileSuffix + ")"
		}
		all = append(all, v)
	}
	return all
}

// variable returns the setting of a name with envPrefix, which there has to be.
func (s *settings) variable(name string) variable {
	all := s.variables()
	return all[slices.IndexFunc(all, func(v variable) bool { return v.name == name })]
}

// entries returns how many secrets are set.
func (v variable) entries() int {
	switch field := v.field.Interface().(type) {
	case []secret:
		return len(field)
	case secret:
		if field.set() {
			return 1
		}
	}
	return 0
}

func kindOf(field reflect.StructField) string {
	if kind := field.Tag.Get("kind"); kind != "" {
		return kind
	}
	switch reflect.Zero(field.Type).Interface().(type) {
	case secret:
		return "secret"
	case []secret:
		return "list of secrets"
	case secretURL:
		return "URL"
	case []secretURL:
		return "list of URLs"
	case time.Duration:
		return "duration"
	case bool:
		return "true or false"
	case string:
		return "text"
	default:
		return "number"
	}
}

// fileToo tells whether the variable may be given as a file.
func (v variable) fileToo() bool {
	switch v.field.Interface().(type) {
	case secret, []secret:
		return true
	default:
		return false
	}
}

// current returns the value to show: what was given, even where it is wrong, and
// else the default. Secrets are masked.
func (v variable) current() string {
	switch field := v.field.Interface().(type) {
	case []secret:
		return countSecrets(len(field))
	case secret, secretURL:
		return fmt.Sprint(field)
	case []secretURL:
		return joinURLs(field)
	}
	if given := os.Getenv(v.name); given != "" {
		return readable(given)
	}
	return v.usual()
}

// usual returns the default to show.
func (v variable) usual() string {
	if v.standard == "" {
		return notSet
	}
	return v.standard
}

func countSecrets(n int) string {
	switch n {
	case 0:
		return notSet
	case 1:
		return "(set, 1 value)"
	default:
		return fmt.Sprintf("(set, %d values)", n)
	}
}

func joinURLs(list []secretURL) string {
	if len(list) == 0 {
		return notSet
	}
	shown := make([]string, len(list))
	for i, u := range list {
		shown[i] = readable(u.String())
	}
	return strings.Join(shown, ",")
}
