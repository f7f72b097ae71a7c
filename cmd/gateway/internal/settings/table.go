package settings

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Row describes one setting. Secrets are masked.
type Row struct {
	Name, Type string
	Default    string
	Current    string // what was given, even if it is wrong, else the default
	Meaning    string
}

// Table describes all settings in their order.
func (s *Settings) Table() []Row {
	var rows []Row
	for _, v := range s.variables() {
		row := Row{Name: v.name, Type: v.typ(), Default: v.tag.Get("default"), Meaning: v.tag.Get("desc")}
		row.Current = v.current(row.Default)
		rows = append(rows, row)
	}
	return rows
}

func (v variable) current(standard string) string {
	switch value := v.value.Interface().(type) {
	case []Secret:
		if !v.format().isURL {
			return countSecrets(len(value))
		}
		shown := make([]string, len(value))
		for i, u := range value {
			shown[i] = u.String()
		}
		return strings.Join(shown, ",")
	case Secret:
		if v.isSet() {
			return value.String()
		}
	default:
		if given := os.Getenv(v.name); given != "" {
			return given
		}
	}
	return standard
}

func countSecrets(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "(set, 1 value)"
	default:
		return fmt.Sprintf("(set, %d values)", n)
	}
}

// WriteMarkdown writes the table of docs/configuration.md.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| Variable | Type | Default | Meaning |\n| --- | --- | --- | --- |\n")
	for _, row := range new(Settings).Table() {
		standard := ""
		if row.Default != "" {
			standard = "`" + row.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", row.Name, row.Type, standard, strings.ReplaceAll(row.Meaning, "|", `\|`))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
