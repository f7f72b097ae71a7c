package main

import (
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// setHelp has every help fit a terminal.
func setHelp(root *cobra.Command) {
	root.SetUsageTemplate(strings.NewReplacer(
		".LocalFlags.FlagUsages", ".LocalFlags.FlagUsagesWrapped 80",
		".InheritedFlags.FlagUsages", ".InheritedFlags.FlagUsagesWrapped 80",
	).Replace(root.UsageTemplate()))
	for _, cmd := range root.Commands() {
		cmd.Long = reflow(cmd.Long)
	}
	root.Long = reflow(root.Long)
}

// reflow breaks paragraphs anew. Indented lines are commands or lists: only those that
// are too long are broken.
func reflow(text string) string {
	var all []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		all = append(all, reflowParagraph(paragraph))
	}
	return strings.Join(all, "\n\n")
}

func reflowParagraph(text string) string {
	var lines []string
	var flowing []string
	flush := func() {
		if len(flowing) > 0 {
			lines, flowing = append(lines, wrap(strings.Join(flowing, " "), "")), nil
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		switch indented := strings.HasPrefix(line, " "); {
		case !indented:
			flowing = append(flowing, line)
		case utf8.RuneCountInString(line) <= lineWidth:
			flush()
			lines = append(lines, line)
		default:
			flush()
			lines = append(lines, breakItem(line))
		}
	}
	flush()
	return strings.Join(lines, "\n")
}

// breakItem breaks a line of a list, such as "  messenger  button, quick_reply": the rest
// begins below the second column.
func breakItem(line string) string {
	text := strings.TrimLeft(line, " ")
	column := len(line) - len(text)
	if name, rest, found := strings.Cut(text, " "); found {
		column += len(name) + 1 + len(rest) - len(strings.TrimLeft(rest, " "))
	}
	rest := wrap(line[column:], strings.Repeat(" ", column))
	return line[:column] + rest[column:]
}
