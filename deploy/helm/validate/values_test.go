package validate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// values is values.yaml with its comments.
type values struct{ root *yaml.Node }

func loadValues(t *testing.T) values {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return values{document.Content[0]}
}

// find returns the key and the value at a path like image.tag, nil where there
// is none.
func (v values) find(path string) (key, value *yaml.Node) {
	value = v.root
	for name := range strings.SplitSeq(path, ".") {
		found := false
		for i := 0; value.Kind == yaml.MappingNode && i < len(value.Content); i += 2 {
			if value.Content[i].Value == name {
				key, value, found = value.Content[i], value.Content[i+1], true
				break
			}
		}
		if !found {
			return nil, nil
		}
	}
	return key, value
}

func (v values) has(path string) bool {
	key, _ := v.find(path)
	return key != nil
}

func (v values) comment(path string) string {
	key, _ := v.find(path)
	if key == nil {
		return ""
	}
	return key.HeadComment
}

// at returns the values of a map.
func (v values) at(t *testing.T, path string) map[string]*yaml.Node {
	t.Helper()
	_, node := v.find(path)
	if node == nil || node.Kind != yaml.MappingNode || len(node.Content) == 0 {
		t.Fatalf("values.yaml has no %s that is a map", path)
	}
	all := map[string]*yaml.Node{}
	for i := 0; i < len(node.Content); i += 2 {
		all[node.Content[i].Value] = node.Content[i+1]
	}
	return all
}

// walk calls each with the path of every value that is no map of others.
func walk(node *yaml.Node, path string, each func(path string, key *yaml.Node)) {
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			walk(value, path+key.Value+".", each)
			continue
		}
		each(path+key.Value, key)
	}
}

func TestEveryValueHasAComment(t *testing.T) {
	count := 0
	walk(loadValues(t).root, "", func(path string, key *yaml.Node) {
		count++
		if len(key.HeadComment) < len("# The gid.") {
			t.Errorf("%s has no comment: expected one above it", path)
		}
	})
	if count < 100 {
		t.Errorf("found %d values: expected at least 100", count)
	}
}

// schema is what the tests need of a JSON Schema.
type schema struct {
	Type       string
	Properties map[string]*schema
	Additional json.RawMessage `json:"additionalProperties"`
}

func loadSchema(t *testing.T) *schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// Only what this chart is given as a part of another one has no value.
var onlyInSchema = map[string]bool{"global": true, "enabled": true, "resources.claims": true}

// A value that is misspelt is refused at every level.
func TestTheSchemaIsStrictAndComplete(t *testing.T) {
	v := loadValues(t)
	var check func(s *schema, path string)
	check = func(s *schema, path string) {
		if string(s.Additional) != "false" {
			t.Errorf("the schema lets anything into %q", path)
		}
		for name, property := range s.Properties {
			at := strings.TrimPrefix(path+"."+name, ".")
			if !v.has(at) && !onlyInSchema[at] {
				t.Errorf("the schema has %s, values.yaml has not", at)
			}
			if property.Properties != nil {
				check(property, at)
			}
		}
	}
	s := loadSchema(t)
	check(s, "")
	walk(v.root, "", func(path string, _ *yaml.Node) {
		at := s
		for name := range strings.SplitSeq(path, ".") {
			if at = at.Properties[name]; at == nil {
				t.Errorf("values.yaml has %s, the schema has not", path)
				return
			}
			if at.Properties == nil {
				return
			}
		}
	})
}
