package settings

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// fileSuffix is appended to the variable of a secret to give the path of a file that
// holds it.
const fileSuffix = "_FILE"

// Load reads the settings from the environment. The error is [Problems] with everything
// that is wrong; the settings then have the default for a value that could not be read.
func Load() (Settings, error) {
	var s Settings
	all := s.variables()
	hidden := make(hiddenVariables)
	defer hidden.restore()
	for _, v := range all {
		hidden.hideEmpty(v.name)
		hidden.hideEmpty(v.name + fileSuffix)
	}
	found := process(&s, hidden)
	s.usePort()
	for _, v := range all {
		found = append(found, v.readSecret()...)
		if path := v.filePath(); path != "" {
			s.secretFiles = append(s.secretFiles, SecretFile{v.name, path})
		}
	}
	found = s.check(found)
	slices.SortStableFunc(found, func(a, b Problem) int { return position(all, a) - position(all, b) })
	s.unknown = unknownVariables(all, os.Environ())
	return s, found.err()
}

// usePort listens on the port that many hosts give to a program.
func (s *Settings) usePort() {
	if port := os.Getenv("PORT"); port != "" && os.Getenv("GATEWAY_LISTEN") == "" {
		s.Listen = ":" + port
	}
}

// LoadOnly is [Load] for a command that needs only the settings that match one of the
// patterns, such as GATEWAY_NATS_*: problems of others are not reported.
func LoadOnly(patterns ...string) (Settings, error) {
	s, err := Load()
	var found Problems
	if errors.As(err, &found) {
		err = found.with(patterns...).err()
	}
	return s, err
}

// position sorts problems in the order of the manual.
func position(all []variable, p Problem) int {
	return slices.IndexFunc(all, func(v variable) bool { return v.name == strings.TrimSuffix(p.Variable, fileSuffix) })
}

// hiddenVariables are removed from the environment while it is read.
type hiddenVariables map[string]string

func (h hiddenVariables) hide(name string) (existed bool) {
	value, existed := os.LookupEnv(name)
	if existed {
		h[name] = value
		os.Unsetenv(name)
	}
	return existed
}

// hideEmpty treats an empty variable as one that is not set. envconfig would use the
// empty text instead of the default.
func (h hiddenVariables) hideEmpty(name string) {
	if os.Getenv(name) == "" {
		h.hide(name)
	}
}

func (h hiddenVariables) restore() {
	for name, value := range h {
		os.Setenv(name, value)
	}
}

// process lets envconfig read everything but the secrets. envconfig stops at the first
// value that it cannot read, so that one is noted and hidden, and the rest read again.
func process(s *Settings, hidden hiddenVariables) (found Problems) {
	for {
		err := envconfig.Process("", s)
		var bad *envconfig.ParseError
		// A value that is not in the environment would be a wrong default.
		if !errors.As(err, &bad) || !hidden.hide(bad.KeyName) {
			return found
		}
		found = append(found, Problem{bad.KeyName, explainParseError(bad)})
	}
}

// explainParseError replaces envconfig's messages, which are for developers.
func explainParseError(bad *envconfig.ParseError) string {
	given := strconv.Quote(bad.Value)
	switch {
	case bad.TypeName == "time.Duration":
		return given + " is not a duration: expected a number with a unit, like 4s or 500ms"
	case bad.TypeName == "bool":
		return given + " is neither true nor false: expected one of them"
	case errors.Is(bad.Err, strconv.ErrRange):
		return given + " is out of range: expected a smaller whole number"
	default:
		return given + " is not a whole number: expected only digits, like 100"
	}
}

// readSecret reads a secret from its variable or its file. envconfig does not read
// secrets because its errors show what was given.
func (v variable) readSecret() Problems {
	text, path := os.Getenv(v.name), v.filePath()
	if path != "" && text != "" {
		return Problems{{v.name, "is given twice: expected either this or " + v.name + fileSuffix}}
	}
	if path != "" {
		var err error
		if text, err = readSecretFile(path); err != nil {
			return Problems{{v.name + fileSuffix, quotePath(path) + err.Error()}}
		}
	}
	if text != "" {
		v.set(text)
	}
	return nil
}

// filePath returns the file that holds the secret; empty if none was given.
func (v variable) filePath() string {
	if !v.takesFile() {
		return ""
	}
	return os.Getenv(v.name + fileSuffix)
}
