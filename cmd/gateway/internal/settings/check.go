package settings

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// check adds what is wrong with the settings to the problems found before.
func (s *Settings) check(found Problems) Problems {
	c := &checker{Settings: s, found: found}
	for _, v := range s.variables() {
		if !c.ok(v.name) {
			continue // what was given could not be read: this is the default
		}
		c.checkWords(v)
		c.checkBounds(v)
		c.checkFormat(v)
	}
	c.checkRules()
	return c.found
}

// checker collects problems.
type checker struct {
	*Settings
	found Problems
}

func (c *checker) report(name, format string, args ...any) {
	c.found = append(c.found, Problem{name, fmt.Sprintf(format, args...)})
}

// ok reports whether nothing is wrong with a variable so far.
func (c *checker) ok(name string) bool { return len(c.found.with(name)) == 0 }

func (c *checker) checkWords(v variable) {
	words := v.words()
	if words == nil {
		return
	}
	for _, g := range v.given() {
		if !slices.Contains(words, g.text) {
			c.report(v.name, "%sis unknown: expected %s", g.shown, joinWords(words))
		}
	}
}

func (c *checker) checkBounds(v variable) {
	if !v.value.CanInt() {
		for _, g := range v.given() {
			if high, limited := v.limit("max"); limited && int64(len(g.text)) > high {
				c.report(v.name, "%sis too long: expected %s", g.shown, v.bounds())
			}
		}
		return
	}
	n := v.value.Int()
	low, hasLow := v.limit("min")
	high, hasHigh := v.limit("max")
	zero := n == 0 && v.tag.Get("zero") != ""
	if !zero && (hasLow && n < low || hasHigh && n > high) {
		c.report(v.name, "%q is out of range: expected %s", fmt.Sprint(v.value), v.bounds())
	}
}

// limit returns the number, or the duration, in a tag.
func (v variable) limit(tag string) (n int64, ok bool) {
	text := v.tag.Get(tag)
	if text == "" {
		return 0, false
	}
	if _, isDuration := v.value.Interface().(time.Duration); isDuration {
		d, err := time.ParseDuration(text)
		return int64(d), err == nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func (c *checker) checkFormat(v variable) {
	format := v.format()
	if format.check == nil {
		return
	}
	for i, g := range v.given() {
		if g.text == "" { // of a list
			c.report(v.name, "entry %d is empty: expected entries separated by single commas", i+1)
		} else if wrong := format.check(g.text); wrong != "" {
			c.report(v.name, "%s%s: expected %s", g.shown, wrong, format.expected)
		}
	}
}
