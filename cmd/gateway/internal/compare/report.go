//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// column is one of a table. It is left out where no row has something to say in it.
type column struct {
	title string
	cell  func(r, reference *result) string
}

var columns = []column{
	{"events/s", func(r, _ *result) string { return thousands(spreadOf(r.rates).median) }},
	{"ratio", func(r, first *result) string { return ratioCell(r, first, r.rates, first.rates) }},
	{"CPU µs per event", func(r, _ *result) string { return decimals(spreadOf(r.cpu).median, 1) }},
	{"ratio", func(r, first *result) string { return ratioCell(r, first, r.cpu, first.cpu) }},
	{"nats-server's CPU µs", func(r, _ *result) string { return decimals(spreadOf(r.server).median, 1) }},
	{"load's CPU µs", func(r, _ *result) string { return decimals(spreadOf(r.load).median, 1) }},
	{"p50 ms", func(r, _ *result) string { return decimals(r.p50, 2) }},
	{"p99 ms", func(r, _ *result) string { return decimals(r.p99, 2) }},
	{"p99 ratio", func(r, first *result) string { return ratioCell(r, first, r.p99s, first.p99s) }},
	{"allocations per event", func(r, _ *result) string { return decimals(r.mallocs, 1) }},
	{"KB per event", func(r, _ *result) string { return decimals(r.kb, 2) }},
	{"peak MB", func(r, _ *result) string { return decimals(r.peak, 0) }},
	{"503/s", func(r, _ *result) string { return thousands(r.refused / r.window.Seconds()) }},
	{"p99 of a 503, ms", func(r, _ *result) string { return decimals(r.refusedP99, 0) }},
	{"CPU µs of a 503", func(r, first *result) string { return decimals(r.refusalCost(first), 1) }},
	{"not answered", func(r, _ *result) string { return thousands(r.lost) }},
	{"not sent", func(r, _ *result) string { return thousands(r.unsent) }},
}

// refusalCost is the CPU of a refusal in µs, were a stored event as cheap as the
// reference's.
func (r *result) refusalCost(first *result) float64 {
	if r.refused == 0 {
		return 0
	}
	return (r.used.Seconds()*1e6 - spreadOf(first.cpu).median*r.events) / r.refused
}

func ratioCell(r, first *result, values, reference []float64) string {
	if r == first {
		return "1"
	}
	s := spreadOf(ratios(values, reference))
	return fmt.Sprintf("%.3f (%.3f–%.3f)", s.median, s.q1, s.q3)
}

// decimals returns nothing for nothing.
func decimals(v float64, places int) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", places, v)
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if text == "0" {
		return ""
	}
	return text
}

// table returns the results in Markdown.
func (m *measurement) table() string {
	head, rows := []string{""}, [][]string{}
	for _, c := range columns {
		head = append(head, c.title)
	}
	for i, group := range m.groups {
		for _, r := range group {
			name := r.seat.name
			if m.scenario.axis != "" {
				name = m.scenario.shapes[i].name + ": " + name
			}
			row := []string{name}
			for _, c := range columns {
				row = append(row, c.cell(r, group[0]))
			}
			rows = append(rows, row)
		}
	}
	used := func(i int) bool {
		return slices.ContainsFunc(rows, func(row []string) bool { return i == 0 || row[i] != "" })
	}
	var b strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			if used(i) {
				b.WriteString("|" + cell)
			}
		}
		b.WriteString("|\n")
	}
	line(head)
	line(slices.Repeat([]string{"---"}, len(head)))
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

// write replaces the scenario's part of benchmarks.md, and its plot.
func (m *measurement) write(docs, where string) error {
	name := "compare-" + m.scenario.name + ".svg"
	if err := os.MkdirAll(filepath.Join(docs, "img"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(docs, "img", name), []byte(m.plot()), 0o644); err != nil {
		return err
	}
	path := filepath.Join(docs, "benchmarks.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	table := ""
	if m.scenario.axis == "" { // growth is for the eye
		table = m.table() + "\n"
	}
	part := fmt.Sprintf("![%s](img/%s)\n\n%s%d rounds of %s.\n", m.scenario.title, name, table, m.rounds, m.turn)
	out, err := replacePart(string(text), m.scenario.name, part)
	if err == nil {
		out, err = replacePart(out, "machine", "The last run: "+where+".\n")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(out), 0o644)
}

// replacePart replaces what stands between the markers of a name.
func replacePart(text, name, part string) (string, error) {
	begin, end := fmt.Sprintf("<!-- compare:%s -->\n", name), fmt.Sprintf("<!-- /compare:%s -->", name)
	before, rest, found := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("there is no place for scenario %s: expected the lines %q and %q", name, strings.TrimSpace(begin), end)
	}
	return before + begin + part + end + after, nil
}
