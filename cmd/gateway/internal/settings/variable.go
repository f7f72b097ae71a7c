package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// variable is a setting with its tags and its value.
type variable struct {
	name  string
	tag   reflect.StructTag
	value reflect.Value
}

// variables returns all settings in their order.
func (s *Settings) variables() []variable {
	value := reflect.ValueOf(s).Elem()
	var all []variable
	for i := range value.NumField() {
		if field := value.Type().Field(i); field.IsExported() {
			all = append(all, variable{field.Tag.Get("envconfig"), field.Tag, value.Field(i)})
		}
	}
	return all
}

// variable returns the setting with a name, which must exist.
func (s *Settings) variable(name string) variable {
	all := s.variables()
	return all[slices.IndexFunc(all, func(v variable) bool { return v.name == name })]
}

// isSet reports whether the setting has a value other than false, 0 or nothing.
func (v variable) isSet() bool { return !v.value.IsZero() }

// takesFile reports whether the value can be given in a file.
func (v variable) takesFile() bool {
	switch v.value.Interface().(type) {
	case Secret, []Secret:
		return !v.format().isURL
	default:
		return false
	}
}

func (v variable) format() format { return formats[v.tag.Get("format")] }

// secrets returns how many secrets are set.
func (v variable) secrets() int {
	switch value := v.value.Interface().(type) {
	case []Secret:
		return len(value)
	case Secret:
		if value.IsSet() {
			return 1
		}
	}
	return 0
}

// words returns the allowed words, if only some are.
func (v variable) words() []string {
	if list := v.tag.Get("oneof"); list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

func joinWords(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// bounds says what min, max and zero allow; it is empty without them.
func (v variable) bounds() string {
	low, high := v.tag.Get("min"), v.tag.Get("max")
	text := ""
	switch {
	case low != "" && high != "":
		text = low + " to " + high
	case low != "":
		text = "at least " + low
	case high != "":
		text = "at most " + high
	default:
		return ""
	}
	if !v.value.CanInt() {
		text += " bytes"
	}
	if v.tag.Get("zero") != "" {
		text += ", or 0"
	}
	return text
}

// typ describes the values of the setting, for the manual.
func (v variable) typ() string {
	text := v.kind()
	if bounds := v.bounds(); bounds != "" {
		text += ", " + bounds
	}
	if v.takesFile() {
		text += " (or " + fileSuffix + ")"
	}
	return text
}

func (v variable) kind() string {
	if words := v.words(); words != nil {
		return joinWords(words)
	}
	if kind := v.format().kind; kind != "" {
		return kind
	}
	switch v.value.Interface().(type) {
	case Secret:
		return "secret"
	case []Secret:
		return "list of secrets"
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

// set sets a secret to what was given.
func (v variable) set(text string) {
	newValue := NewSecret
	if v.format().isURL {
		newValue = newURL
	}
	switch value := v.value.Addr().Interface().(type) {
	case *Secret:
		*value = newValue(text)
	case *[]Secret:
		*value = nil
		for entry := range strings.SplitSeq(text, ",") {
			*value = append(*value, newValue(entry))
		}
	}
}

// shown is how messages show a secret: not at all, unless it is a URL.
func (s Secret) shown() string {
	if s.isURL {
		return fmt.Sprintf("%.300q ", s)
	}
	return ""
}

// given is one text to check, and how messages show it.
type given struct{ shown, text string }

// given returns the texts that were given: several for a list, none for other types.
// A secret is not shown, a URL with its password masked.
func (v variable) given() (all []given) {
	switch value := v.value.Interface().(type) {
	case string:
		if value != "" {
			all = append(all, given{fmt.Sprintf("%.300q ", value), value})
		}
	case []string:
		for i, text := range value {
			all = append(all, given{fmt.Sprintf("entry %d %.300q ", i+1, text), text})
		}
	case Secret:
		if value.IsSet() {
			all = append(all, given{value.shown(), value.Reveal()})
		}
	case []Secret:
		for i, s := range value {
			all = append(all, given{fmt.Sprintf("entry %d ", i+1) + s.shown(), s.Reveal()})
		}
	}
	return all
}
