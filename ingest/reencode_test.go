package ingest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// asMetaWrites is a body in which everything is escaped that Meta is known to escape.
const asMetaWrites = `{"object":"page","text":"\u00e9\ud83d\ude00 a\/b \u003C3 50\u0025 \u0040home > & ' \" \\ \n\t"}`

// Each text is what the encoder makes of asMetaWrites after decoding it.
var reencoders = map[string]string{
	"Node":                         `{"object":"page","text":"é😀 a/b <3 50% @home > & ' \" \\ \n\t"}`,
	"Node, indented":               "{\n  \"object\": \"page\",\n  \"text\": \"é😀 a/b <3 50% @home > & ' \\\" \\\\ \\n\\t\"\n}",
	"Python":                       `{"object": "page", "text": "\u00e9\ud83d\ude00 a/b <3 50% @home > & ' \" \\ \n\t"}`,
	"Python, without ensure_ascii": `{"object": "page", "text": "é😀 a/b <3 50% @home > & ' \" \\ \n\t"}`,
	"PHP":                          `{"object":"page","text":"\u00e9\ud83d\ude00 a\/b <3 50% @home > & ' \" \\ \n\t"}`,
	"PHP, every JSON_HEX flag":     `{"object":"page","text":"\u00e9\ud83d\ude00 a\/b \u003C3 50% @home \u003E \u0026 \u0027 \u0022 \\ \n\t"}`,
	"Go":                           `{"object":"page","text":"é😀 a/b \u003c3 50% @home \u003e \u0026 ' \" \\ \n\t"}`,
	"Java, Gson":                   `{"object":"page","text":"é😀 a/b \u003c3 50% @home \u003e \u0026 \u0027 \" \\ \n\t"}`,
	".NET, System.Text.Json":       `{"object":"page","text":"\u00E9\uD83D\uDE00 a/b \u003C3 50% @home \u003E \u0026 \u0027 \u0022 \\ \n\t"}`,
	"a line break added":           asMetaWrites + "\n",
}

func TestMetaWritingsOfReencodedBodies(t *testing.T) {
	for name, body := range reencoders {
		t.Run(name, func(t *testing.T) {
			if writings := metaWritings([]byte(body)); !contains(writings, asMetaWrites) {
				t.Errorf("none of %d writings is that of Meta:\n%s", len(writings), bytes.Join(writings, []byte("\n")))
			}
		})
	}
}

// Meta's writing differs between deliveries: each escape can be there or not.
func TestMetaWritingsWithAndWithoutEachEscape(t *testing.T) {
	body := []byte(`{"a":"/<%@é"}`)
	for _, want := range []string{
		`{"a":"/<%@\u00e9"}`,
		`{"a":"\/<%@\u00e9"}`,
		`{"a":"/\u003C%@\u00e9"}`,
		`{"a":"/<\u0025@\u00e9"}`,
		`{"a":"/<%\u0040\u00e9"}`,
		`{"a":"\/\u003C%\u0040\u00e9"}`,
		`{"a":"\/\u003C\u0025\u0040\u00e9"}`,
		`{"a":"\/\u003c\u0025\u0040\u00e9"}`,
		`{"a":"/<%@é"}`,
		`{"a":"\/<%@é"}`,
	} {
		if !contains(metaWritings(body), want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestMetaWritingsAreBounded(t *testing.T) {
	for body, most := range map[string]int{
		`{"a":"/<%@é"}`: 20,
		`{"a":"/é"}`:    5,
		`{"a":"b"}`:     2,
	} {
		if n := len(metaWritings([]byte(body))); n > most {
			t.Errorf("%s: %d writings, expected at most %d", body, n, most)
		}
	}
}

func TestMetaWritingsOfOddStrings(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":"\\/"}`:                      `{"a":"\\\/"}`,
		`{"a":"\uD83D"}`:                   `{"a":"\ud83d"}`,
		`{"a":"\uD83D\u00"}`:               `{"a":"\ud83du00"}`,
		`{"a":"\u0001\u0008\u000C\u007F"}`: `{"a":"\u0001\b\f` + "\x7f" + `"}`,
		`{"a":"\`:                          `{"a":"\\`,
	} {
		if writings := metaWritings([]byte(body)); !contains(writings, want) {
			t.Errorf("%s: %s is not among\n%s", body, want, bytes.Join(writings, []byte("\n")))
		}
	}
}

func contains(texts [][]byte, want string) bool {
	return slices.ContainsFunc(texts, func(text []byte) bool { return string(text) == want })
}

func BenchmarkMetaWritings(b *testing.B) {
	item := `{"text":"é <b>50% @home</b> https://example.com/"},`
	body := []byte("[" + strings.Repeat(item, 16<<10/len(item)-1) + "{}]")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		metaWritings(body)
	}
}

// FuzzMetaWritings: whatever the encoder wrote, the writings are the same, mean the same
// and all but the unescaped ones are ASCII.
func FuzzMetaWritings(f *testing.F) {
	for _, body := range reencoders {
		f.Add([]byte(body))
	}
	f.Add([]byte("\xff\"\xff"))
	f.Add([]byte(asItArrived))
	f.Fuzz(func(t *testing.T, body []byte) {
		writings := metaWritings(body)
		if len(writings) > 20 {
			t.Errorf("%d writings", len(writings))
		}
		var meant any
		if json.Unmarshal(body, &meant) != nil {
			return // any guess will do: no signature matches
		}
		want, _ := json.Marshal(meant) // cannot fail: it was JSON
		for i, text := range writings {
			var means any
			if err := json.Unmarshal(text, &means); err != nil {
				t.Fatalf("writing %d of %q is not JSON: %q", i, body, text)
			}
			if got, _ := json.Marshal(means); !bytes.Equal(got, want) {
				t.Fatalf("writing %d of %q means %s", i, body, got)
			}
			if i > 0 && !bytes.Equal(metaWritings(text)[1], writings[1]) {
				t.Fatalf("writing %d of %q is written in another way: %q", i, body, text)
			}
		}
		if i := bytes.IndexFunc(writings[1], func(r rune) bool { return r > 0x7f }); i >= 0 {
			t.Fatalf("%q is not ASCII", writings[1])
		}
	})
}
