package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// fileSuffix is behind the name of a secret's variable to give the path of a
// file that holds it.
const fileSuffix = "_FILE"

// loadSettings reads the configuration from the environment. The error names
// everything that is wrong; the settings are then what could be read, with the
// default where a value could not.
func loadSettings() (settings, error) {
	var s settings
	all := s.variables()
	away := make(hidden)
	defer away.restore()
	for _, v := range all {
		away.hideEmpty(v.name)
		away.hideEmpty(v.name + fileSuffix)
	}
	found := process(&s, away)
	for _, v := range all {
		found = append(found, v.readSecret()...)
		if path := v.filePath(); path != "" {
			s.secretFiles = append(s.secretFiles, secretFile{v.name, path})
		}
	}
	found = s.check(found)
	slices.SortStableFunc(found, func(a, b problem) int { return place(all, a) - place(all, b) })
	s.unknown = unknownVariables(all, os.Environ())
	return s, found.err()
}

// loadSome is loadSettings for a command that needs only the settings named
// (without envPrefix): that others are wrong is no matter of its.
func loadSome(names ...string) (settings, error) {
	s, err := loadSettings()
	var found problems
	if errors.As(err, &found) {
		err = found.about(names...).err()
	}
	return s, err
}

// place orders problems as the manual orders the settings.
func place(all []variable, p problem) int {
	return slices.IndexFunc(all, func(v variable) bool { return v.name == strings.TrimSuffix(p.variable, fileSuffix) })
}

// hidden are variables that are taken out of the environment while it is read.
type hidden map[string]string

func (h hidden) hide(name string) (was bool) {
	value, was := os.LookupEnv(name)
	if was {
		h[name] = value
		os.Unsetenv(name)
	}
	return was
}

// hideEmpty makes a variable that is set to nothing count as not set. envconfig
// would take the empty text for its value and pass over the default.
func (h hidden) hideEmpty(name string) {
	if os.Getenv(name) == "" {
		h.hide(name)
	}
}

func (h hidden) restore() {
	for name, value := range h {
		os.Setenv(name, value)
	}
}

// process lets envconfig read all but the secrets. It stops at the first value
// that it cannot read, so that one is noted, hidden, and the rest read again.
func process(s *settings, away hidden) (found problems) {
	for {
		err := envconfig.Process("", s)
		var bad *envconfig.ParseError
		// A value that is not in the environment would be a wrong default.
		if !errors.As(err, &bad) || !away.hide(bad.KeyName) {
			return found
		}
		found = append(found, problem{bad.KeyName, unreadable(bad)})
	}
}

// unreadable says what is wrong in our own words: envconfig's are for developers.
func unreadable(bad *envconfig.ParseError) string {
	given := strconv.Quote(bad.Value)
	switch {
	case bad.TypeName == "time.Duration":
		return given + " is no duration: expected a number with a unit, like 4s or 500ms"
	case bad.TypeName == "bool":
		return given + " is neither true nor false: expected one of them"
	case errors.Is(bad.Err, strconv.ErrRange):
		return given + " is out of range: expected a smaller whole number"
	default:
		return given + " is no whole number: expected digits only, like 100"
	}
}

// readSecret reads a setting that envconfig is kept from, because its errors
// show what was given.
func (v variable) readSecret() problems {
	text, wrong := v.secretText()
	if wrong != nil || text == "" {
		return wrong
	}
	v.fill(text)
	return nil
}

// fill sets a secret to what was given.
func (v variable) fill(text string) {
	switch field := v.field.Addr().Interface().(type) {
	case *secret:
		*field = newSecret(text)
	case *secretURL:
		*field = newSecretURL(text)
	case *[]secret:
		*field = split(text, newSecret)
	case *[]secretURL:
		*field = split(text, newSecretURL)
	}
}

func split[T any](list string, entry func(string) T) (entries []T) {
	for text := range strings.SplitSeq(list, ",") {
		entries = append(entries, entry(text))
	}
	return entries
}

// secretText returns what was given for the variable, by itself or in a file.
func (v variable) secretText() (string, problems) {
	text, path := os.Getenv(v.name), v.filePath()
	switch {
	case path == "":
		return text, nil
	case text != "":
		return "", problems{{v.name, "given twice: expected either this or " + v.name + fileSuffix}}
	}
	text, err := readSecretFile(path)
	if err != nil {
		return "", problems{{v.name + fileSuffix, quotePath(path) + err.Error()}}
	}
	return text, nil
}

// filePath returns where the secret stands, empty where it is not given as a file.
func (v variable) filePath() string {
	if !v.fileToo() {
		return ""
	}
	return os.Getenv(v.name + fileSuffix)
}

// readSecretFile returns what a file holds but its last line break, which
// editors and echo put there. The error is the rest of a sentence about the file.
func readSecretFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", errors.New("cannot be read: " + cause(err))
	}
	defer file.Close()
	content, err := readBounded(file)
	if err != nil {
		return "", err
	}
	return trimSecret(content)
}

// trimSecret is readSecretFile for what was read already.
func trimSecret(content []byte) (string, error) {
	text := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if text == "" {
		return "", errors.New("is empty: expected a file that holds the secret")
	}
	return text, nil
}

// quotePath shows what was given as the path of a secret's file only where it is
// one for sure: a secret put there by mistake is not to be printed.
func quotePath(path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, ".") {
		return strconv.Quote(path) + " "
	}
	return "what is given "
}

// cause is what an error about a file says beside the path.
func cause(err error) string {
	var about *fs.PathError
	if errors.As(err, &about) {
		return about.Err.Error()
	}
	return err.Error()
}
