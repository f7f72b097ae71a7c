package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var codeBlock = regexp.MustCompile("(?ms)^ *```(\\w+)\n(.*?)^ *```$")

// blocks returns the code blocks of a document in some languages.
func blocks(t *testing.T, document string, languages string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(languages, " "+block[1]+" ") {
			all = append(all, block[2])
		}
	}
	return all
}

// flat is code without its indentation: a quote is indented as the document needs.
func flat(code string) string {
	lines := strings.Split(strings.TrimSpace(code), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// TestQuotes: the code in the documents is that of programs which the tests run.
func TestQuotes(t *testing.T) {
	var programs strings.Builder
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == "node_modules" {
			return fs.SkipDir
		}
		if ext := filepath.Ext(path); ext == ".js" || ext == ".py" || d.Name() == "main.go" {
			text, err := os.ReadFile(path)
			programs.WriteString(flat(string(text)) + "\n")
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	quotes := 0
	for _, document := range []string{"../../README.md", "../consumers.md", "../guide.md", "../kogno.md"} {
		for _, quote := range blocks(t, document, " go js python ") {
			quotes++
			if !strings.Contains(programs.String(), flat(quote)) {
				t.Errorf("%s: this is in no program of docs/examples:\n%s", document, quote)
			}
		}
	}
	if quotes < 12 {
		t.Errorf("only %d quotes are found", quotes)
	}
}
