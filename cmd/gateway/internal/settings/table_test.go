package settings

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEverySettingIsDescribed also checks that each tag means something.
func TestEverySettingIsDescribed(t *testing.T) {
	known := []string{"envconfig", "default", "ignored", "format", "oneof", "min", "max", "zero", "desc"}
	for _, v := range new(Settings).variables() {
		if !strings.HasPrefix(v.name, Prefix) || !strings.HasSuffix(v.tag.Get("desc"), ".") {
			t.Errorf("%s: expected the prefix %s and a sentence", v.name, Prefix)
		}
		if name := v.tag.Get("format"); name != "" {
			if _, ok := formats[name]; !ok {
				t.Errorf("%s: unknown format %q", v.name, name)
			}
		}
		for _, tag := range []string{"min", "max"} {
			if _, ok := v.limit(tag); !ok && v.tag.Get(tag) != "" {
				t.Errorf("%s: %s %q cannot be read", v.name, tag, v.tag.Get(tag))
			}
		}
		for _, tag := range regexp.MustCompile(`(\w+):"`).FindAllStringSubmatch(v.tagsOnly(), -1) {
			if !slices.Contains(known, tag[1]) {
				t.Errorf("%s: unknown tag %s", v.name, tag[1])
			}
		}
		_, secret := v.value.Interface().(interface{ Reveal() string })
		if secret && v.tag.Get("default") != "" {
			t.Errorf("%s: the default of a secret is not read", v.name)
		}
	}
}

// tagsOnly returns the tags without the description, which may contain anything.
func (v variable) tagsOnly() string {
	return strings.Replace(string(v.tag), v.tag.Get("desc"), "", 1)
}

func TestExampleEnvFile(t *testing.T) {
	content, err := os.ReadFile("../../../../deploy/gateway.env.example")
	if err != nil {
		t.Fatal(err)
	}
	set, examples := make(map[string]string), make(map[string]string)
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		name, value, assigned := strings.Cut(strings.TrimPrefix(line, "#"), "=")
		if !assigned || !strings.HasPrefix(name, Prefix) {
			continue
		}
		name = strings.TrimPrefix(name, Prefix)
		if _, twice := examples[name]; twice {
			t.Errorf("%s stands there twice", name)
		}
		examples[name] = value
		if !strings.HasPrefix(line, "#") {
			set[name] = value
		}
	}
	setenv(t, set)
	if s, err := Load(); err != nil || len(s.Warnings()) > 0 {
		t.Errorf("the file as it is: %v, warnings %q", err, s.Warnings())
	}
	checkExamples(t, examples)
}

// checkExamples wants an example of every setting, and nothing wrong with any
// but that it does not stand alone.
func checkExamples(t *testing.T, examples map[string]string) {
	all := new(Settings).variables()
	if len(examples) != len(all) {
		t.Errorf("%d settings have examples, of %d", len(examples), len(all))
	}
	for _, v := range all {
		name := strings.TrimPrefix(v.name, Prefix)
		if standard := v.tag.Get("default"); standard != "" && examples[name] != standard {
			t.Errorf("%s: the example %q is not the default %q", name, examples[name], standard)
		}
		setenv(t, env(name, examples[name]))
		if _, err := Load(); err != nil && !notAlone(err.Error()) {
			t.Error(err)
		}
	}
}

func notAlone(text string) bool {
	for _, allowed := range []string{"has no effect", "no such file"} {
		if strings.Contains(text, allowed) {
			return true
		}
	}
	return false
}
