package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mdLink    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	mdAnchor  = regexp.MustCompile(`<a id="([^"]+)">`)
	mdCode    = regexp.MustCompile("(?s)```.*?```")
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks: every link from one document to another leads to a file that is there,
// and to a heading of it.
func TestLinks(t *testing.T) {
	links := 0
	for _, document := range documents(t) {
		text := mdCode.ReplaceAllString(readText(t, document), "")
		for _, link := range mdLink.FindAllStringSubmatch(text, -1) {
			target := link[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			path, anchor, _ := strings.Cut(target, "#")
			if path = filepath.Join(filepath.Dir(document), path); strings.HasPrefix(target, "#") {
				path = document
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: the link %s leads nowhere", document, target)
				continue
			}
			if anchor != "" && filepath.Ext(path) == ".md" && !slices.Contains(anchors(t, path), anchor) {
				t.Errorf("%s: %s has no heading for the link %s", document, path, target)
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links are found", links)
	}
}

// documents are all of the project.
func documents(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "testdata", "dist", "bin", "data", "node_modules"}, d.Name()):
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// anchors are the headings as links name them, and what is marked by hand.
func anchors(t *testing.T, path string) (all []string) {
	t.Helper()
	text := mdCode.ReplaceAllString(readText(t, path), "")
	for _, heading := range mdHeading.FindAllStringSubmatch(text, -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	for _, anchor := range mdAnchor.FindAllStringSubmatch(text, -1) {
		all = append(all, anchor[1])
	}
	return all
}
