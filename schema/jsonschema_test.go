package schema

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchemaIsOpen: a consumer that keeps a copy of the schema accepts the values
// that later versions add, and still rejects what cannot be one.
func TestSchemaIsOpen(t *testing.T) {
	compiled := compileSchema(t, "https://json-schema.org/draft/2020-12/schema")
	text, err := mustNew(t, "id", sampleData()).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		valid    bool
	}{
		{`"kind":"button"`, `"kind":"hologram_button"`, true},
		{`"kind":"button"`, `"kind":""`, false},
		{`"kind":"button"`, `"kind":7`, false},
		{`"channel":"primary"`, `"channel":"shared"`, true},
		{`"channel":"primary"`, `"channel":"Primary"`, false},
		{`"platform":"messenger"`, `"platform":"line"`, true},
		{`"platform":"messenger"`, `"platform":null`, false},
		{`"source":"/messenger/PAGE-ID"`, `"source":"/line/CHANNEL"`, true},
		{`"source":"/messenger/PAGE-ID"`, `"source":"/messenger/"`, false},
		{`"type":"postback.click.v1"`, `"type":"postback.identity.v1"`, true},
		{`"type":"postback.click.v1"`, `"type":"postback.click.v2"`, false},
		{`"action":"enterprise"`, `"params":"a string"`, true},
	} {
		changed := strings.Replace(string(text), c.from, c.to, 1)
		if changed == string(text) {
			t.Fatalf("no %s in %s", c.from, text)
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(changed))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(document); (err == nil) != c.valid {
			t.Errorf("%s: valid %t, want %t: %v", c.to, err == nil, c.valid, err)
		}
	}
}

// TestSchemaID: a tool that fetches the schema by its $id gets this file.
func TestSchemaID(t *testing.T) {
	var document struct {
		ID string `json:"$id"`
	}
	if err := json.NewDecoder(bytes.NewReader(JSONSchema)).Decode(&document); err != nil {
		t.Fatal(err)
	}
	const want = "https://raw.githubusercontent.com/postback-gateway/gateway/main/schema/event.v1.schema.json"
	if document.ID != want {
		t.Errorf("$id is %s, want the address of the file: %s", document.ID, want)
	}
}
