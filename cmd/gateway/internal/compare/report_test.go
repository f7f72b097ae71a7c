//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testResult(name string, factor float64) *result {
	r := &result{seat: seat{contestant: contestant{name: name}}}
	for round := range 4 {
		used := usage{process: time.Duration(1e6 * factor), load: 1e5}
		t := &tally{window: time.Second, inTime: int(float64(100*(round+1)) / factor), stored: 100, took: []int64{1e6, 2e6}}
		r.add(t, used)
	}
	r.finish(memory{}, memory{mallocs: 400 * 75, bytes: 400 * 6e3})
	return r
}

func testMeasurement(s *scenario) *measurement {
	m := &measurement{scenario: s, rounds: 4, turn: time.Second}
	for range max(1, len(s.shapes)) {
		m.groups = append(m.groups, []*result{testResult("bare & simple", 1), testResult("gateway", 2)})
	}
	return m
}

func TestTable(t *testing.T) {
	m := testMeasurement(&scenario{name: "interval", shapes: single})
	want := `||events/s|ratio|CPU µs per event|ratio|load's CPU µs|p50 ms|p99 ms|p99 ratio|allocations per event|KB per event|
|---|---|---|---|---|---|---|---|---|---|---|
|bare & simple|250|1|10.0|1|1.0|1.50|2.00|1|75.0|6.00|
|gateway|125|0.500 (0.500–0.500)|20.0|2.000 (2.000–2.000)|1.0|1.50|2.00|1.000 (1.000–1.000)|75.0|6.00|
`
	if got := m.table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestRefusalCost: what is above the cost of the stored events is that of the refusals.
func TestRefusalCost(t *testing.T) {
	reference := testResult("256 connections", 1) // 10 µs
	r := testResult("2,000 connections", 3)       // 12 ms for 400 events
	r.refused = 400
	if got := r.refusalCost(reference); got != 20 {
		t.Errorf("got %v µs, want 20", got)
	}
	if got := reference.refusalCost(reference); got != 0 {
		t.Errorf("without a refusal: got %v", got)
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "", 7: "7", 999.6: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := thousands(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

func TestReplacePart(t *testing.T) {
	const text = "a\n<!-- compare:x -->\nold\n<!-- /compare:x -->\nb\n<!-- compare:xy -->\nkept\n<!-- /compare:xy -->\n"
	got, err := replacePart(text, "x", "new\n")
	if want := strings.Replace(text, "old", "new", 1); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := replacePart(text, "z", "new\n"); err == nil || !strings.Contains(err.Error(), "<!-- compare:z -->") {
		t.Errorf("without markers: got %v", err)
	}
}

// TestDocument: there is a place in the document for every scenario.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios(false) {
		if _, err := replacePart(string(text), s.name, ""); err != nil {
			t.Error(err)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "benchmarks.md")
	if err := os.WriteFile(path, []byte("<!-- compare:machine -->\n<!-- /compare:machine -->\n<!-- compare:interval -->\n<!-- /compare:interval -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := testMeasurement(&scenario{name: "interval", title: "Single", shapes: single})
	for range 2 { // the second replaces the first
		if err := m.write(dir, "here"); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "|gateway|"); n != 1 || !strings.Contains(string(text), "|\n\n4 rounds of 1s.\n") || strings.Count(string(text), "The last run: here.\n") != 1 {
		t.Errorf("%d tables: %s", n, text)
	}
	wantXML(t, readFile(t, filepath.Join(dir, "img", "compare-interval.svg")))
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPlot: both sorts are well-formed, and a name is not markup.
func TestPlot(t *testing.T) {
	for _, s := range []*scenario{
		{name: "interval", title: "a < b", shapes: single},
		{name: "growth", title: "a < b", axis: "Connections", shapes: []shape{{x: 0}, {x: 1000}}},
	} {
		text := testMeasurement(s).plot()
		wantXML(t, text)
		for _, want := range []string{"a &lt; b", "gateway", "bare &amp; simple"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %s", s.name, want, text)
			}
		}
	}
}

func wantXML(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("a number is missing: %s", text)
	}
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}
