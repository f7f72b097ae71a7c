package settings

import (
	"path"
	"slices"
	"strings"
)

// Problem is something that is wrong with one variable.
type Problem struct{ Variable, Text string }

// Problems is everything that is wrong with the configuration, as one error with a line
// for each.
type Problems []Problem

// Error implements error.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Variable + ": " + one.Text
	}
	return strings.Join(lines, "\n")
}

// with returns the problems of the variables that a pattern matches; see [path.Match].
func (p Problems) with(patterns ...string) Problems {
	return slices.DeleteFunc(slices.Clone(p), func(one Problem) bool {
		name := strings.TrimSuffix(one.Variable, fileSuffix)
		return !slices.ContainsFunc(patterns, func(pattern string) bool {
			matches, err := path.Match(pattern, name)
			return err == nil && matches
		})
	})
}

// err returns p as an error, nil without a problem.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
